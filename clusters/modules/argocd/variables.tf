variable "chart" {
  description = "Repository, name and version of the chart argo-cd."
  type        = object({ repository = string, chart = string, version = string })
}

variable "install_crd" {
  description = "Whether the chart's custom resource definitions are installed."
  type        = bool
}

variable "domain" {
  description = "The name of Argo CD's ingress, null for none."
  type        = string
}

variable "issuer" {
  description = "The ClusterIssuer of the ingress' certificate, null for none."
  type        = string
}
