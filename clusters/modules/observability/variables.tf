variable "charts" {
  description = "Repository, name and version of each chart."
  type = object({
    kube_prometheus_stack = object({ repository = string, chart = string, version = string })
    loki                  = object({ repository = string, chart = string, version = string })
    alloy                 = object({ repository = string, chart = string, version = string })
  })
}

variable "install_crd" {
  description = "Whether the charts' custom resource definitions are installed."
  type        = bool
}

variable "domain" {
  description = "The name of Grafana's ingress, null for none."
  type        = string
}

variable "issuer" {
  description = "The ClusterIssuer of the ingress' certificate, null for none."
  type        = string
}
