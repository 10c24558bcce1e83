variable "chart" {
  description = "Repository, name and version of the chart external-dns."
  type        = object({ repository = string, chart = string, version = string })
}

variable "install_crd" {
  description = "Whether the chart's custom resource definitions are installed."
  type        = bool
}

variable "dns" {
  description = "Which DNS server, which domains of it, and Pi-hole's address."
  type        = object({ provider = string, domains = list(string), server = optional(string) })
}

variable "owner" {
  description = "The name in the TXT records that mark this cluster's records."
  type        = string
}

variable "secret_store" {
  description = "The ClusterSecretStore that has the DNS server's token, null where there is none."
  type        = string
}
