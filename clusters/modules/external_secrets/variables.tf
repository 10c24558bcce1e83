variable "chart" {
  description = "Repository, name and version of the chart external-secrets."
  type        = object({ repository = string, chart = string, version = string })
}

variable "install_crd" {
  description = "Whether the chart's custom resource definitions are installed."
  type        = bool
}

variable "context" {
  description = "The cluster's context; its login at Vault has the same name."
  type        = string
}

variable "vault_addr" {
  description = "Vault's address as the cluster reaches it."
  type        = string
}

variable "vault_ca" {
  description = "PEM of Vault's CA, empty where it is publicly trusted."
  type        = string
}

variable "vault_namespace" {
  description = "Vault's namespace, empty for none."
  type        = string
}
