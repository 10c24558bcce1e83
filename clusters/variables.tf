# What runs on which cluster. One entry in `workload` and one of the same name in `config` make a workspace; the names of
# the workloads are the folders in modules/. docs/workloads.md describes each. Only literal values stand here: scripts
# read this file without Terraform.

variable "workload" {
  description = "Workspace to the workloads that it runs."
  type        = map(list(string))
  default = {
    # observability = [
    #   "externaldns",
    #   "cert_manager",
    #   "external_secrets",
    #   "observability"
    # ]
  }
}

variable "config" {
  description = "Workspace to its cluster, a context in Vault's kubeconfig, and the settings of its workloads."
  type = map(object({
    kubernetes_context = string
    install_crd        = optional(bool, true) # the charts bring their custom resource definitions,
    cert_manager_crd   = optional(bool, true) # and so does cert-manager's
    dns = optional(object({
      provider = optional(string, "cloudflare") # or pihole
      domains  = optional(list(string), [])     # records below these alone; none: all that the token may change
      server   = optional(string)               # Pi-hole's address, as "http://192.168.1.2"
    }), {})
    issuer_email   = optional(string) # Let's Encrypt's account; without it there is no issuer
    argocd_domain  = optional(string) # an ingress for Argo CD
    grafana_domain = optional(string) # and one for Grafana
  }))
  default = {
    # observability = {
    #   kubernetes_context = "k8s-observability"
    #   install_crd        = true
    #   cert_manager_crd   = true
    # }
  }

  validation {
    condition     = toset(keys(var.config)) == toset(keys(var.workload))
    error_message = "A workspace has an entry in both maps: workload has ${jsonencode(keys(var.workload))}, config has ${jsonencode(keys(var.config))}."
  }

  validation {
    condition     = alltrue([for each in var.config : contains(["cloudflare", "pihole"], each.dns.provider)])
    error_message = "dns.provider is \"cloudflare\" or \"pihole\"."
  }

  validation {
    condition     = alltrue([for each in var.config : each.dns.server != null if each.dns.provider == "pihole"])
    error_message = "dns.provider \"pihole\" needs dns.server, the address of Pi-hole, as \"http://192.168.1.2\"."
  }
}

variable "charts" {
  description = "Where each chart comes from, and its exact version."
  type        = map(object({ repository = string, chart = string, version = string }))
  default = {
    external_dns = {
      repository = "https://kubernetes-sigs.github.io/external-dns"
      chart      = "external-dns"
      # renovate: datasource=helm depName=external-dns registryUrl=https://kubernetes-sigs.github.io/external-dns
      version = "1.22.0"
    }
    cert_manager = {
      repository = "oci://quay.io/jetstack/charts"
      chart      = "cert-manager"
      # renovate: datasource=docker depName=quay.io/jetstack/charts/cert-manager
      version = "v1.21.2"
    }
    external_secrets = {
      repository = "https://charts.external-secrets.io"
      chart      = "external-secrets"
      # renovate: datasource=helm depName=external-secrets registryUrl=https://charts.external-secrets.io
      version = "2.9.0"
    }
    kube_prometheus_stack = {
      repository = "https://prometheus-community.github.io/helm-charts"
      chart      = "kube-prometheus-stack"
      # renovate: datasource=helm depName=kube-prometheus-stack registryUrl=https://prometheus-community.github.io/helm-charts
      version = "88.5.3"
    }
    loki = {
      repository = "https://grafana-community.github.io/helm-charts"
      chart      = "loki"
      # renovate: datasource=helm depName=loki registryUrl=https://grafana-community.github.io/helm-charts
      version = "18.11.0"
    }
    alloy = {
      repository = "https://grafana.github.io/helm-charts"
      chart      = "alloy"
      # renovate: datasource=helm depName=alloy registryUrl=https://grafana.github.io/helm-charts
      version = "1.11.1"
    }
    argo_cd = {
      repository = "https://argoproj.github.io/argo-helm"
      chart      = "argo-cd"
      # renovate: datasource=helm depName=argo-cd registryUrl=https://argoproj.github.io/argo-helm
      version = "10.1.1"
    }
    istio_base = {
      repository = "https://istio-release.storage.googleapis.com/charts"
      chart      = "base"
      # renovate: datasource=helm depName=base registryUrl=https://istio-release.storage.googleapis.com/charts
      version = "1.30.4"
    }
    istiod = {
      repository = "https://istio-release.storage.googleapis.com/charts"
      chart      = "istiod"
      # renovate: datasource=helm depName=istiod registryUrl=https://istio-release.storage.googleapis.com/charts
      version = "1.30.4"
    }
    istio_gateway = {
      repository = "https://istio-release.storage.googleapis.com/charts"
      chart      = "gateway"
      # renovate: datasource=helm depName=gateway registryUrl=https://istio-release.storage.googleapis.com/charts
      version = "1.30.4"
    }
  }

  validation {
    condition     = alltrue([for each in var.charts : can(regex("^v?[0-9]+[.][0-9]+[.][0-9]+([-+][0-9A-Za-z.+-]+)?$", each.version))])
    error_message = "A chart's version is exact, as \"1.22.0\": a range would change a cluster without a commit."
  }
}

variable "chart_mirror" {
  description = "The one repository, https:// or oci://, from which every chart comes where the internet is out of reach."
  type        = string
  default     = ""

  validation {
    condition     = var.chart_mirror == "" || can(regex("^(https?|oci)://[^/]+", var.chart_mirror))
    error_message = "chart_mirror begins with https://, http:// or oci://."
  }
}

variable "vault_addr" {
  description = "Vault's address as the clusters reach it; scripts/apply_workspace.py takes it from VAULT_ADDR."
  type        = string
  default     = ""
}

variable "vault_ca" {
  description = "PEM of Vault's CA where it is not publicly trusted; apply_workspace.py reads the file of VAULT_CACERT."
  type        = string
  default     = ""
}

variable "vault_namespace" {
  description = "Vault's namespace, an Enterprise feature; apply_workspace.py takes it from VAULT_NAMESPACE."
  type        = string
  default     = ""
}
