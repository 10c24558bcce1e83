variable "chart" {
  description = "Repository, name and version of the chart cert-manager."
  type        = object({ repository = string, chart = string, version = string })
}

variable "install_crd" {
  description = "Whether the chart's custom resource definitions are installed."
  type        = bool
}

variable "dns" {
  description = "Which DNS server proves that a name is ours, and for which domains."
  type        = object({ provider = string, domains = list(string), server = optional(string) })
}

variable "email" {
  description = "Let's Encrypt's account, null for no issuer."
  type        = string
}

variable "secret_store" {
  description = "The ClusterSecretStore that has Cloudflare's token, null where there is none."
  type        = string
}
