variable "workload" {
  type = map(list(string))
  default = {
    a = []
    b = []
    c = []
    d = []
    e = ["cert_manager", "externaldns"]
    f = ["external-dns"]
    g = ["observability"]
  }
}

variable "config" {
  type = map(object({
    kubernetes_context = string
    install_crd        = optional(bool, true)
    dns                = optional(object({ domains = optional(list(string), []) }), {})
  }))
  default = {
    a = { kubernetes_context = "k8s-dve" }      # ! config.a.kubernetes_context: k8s-dve is not a cluster of vms; did you mean k8s-dev?
    b = { kubernetes_context = "" }             # ! is not a cluster of vms; there are k8s-dev, k8s-home, k8s-prod, talos-lab
    c = { kubernetes_context = "k8s-prod-cp1" } # ! k8s-prod-cp1 is a machine of the cluster k8s-prod, whose context is k8s-prod
    d = {}                                      # ! config.d: kubernetes_context is missing
    e = { kubernetes_context = "k8s-prod" }
    f = { kubernetes_context = "k8s-prod" } # ! e (line 25) runs externaldns on k8s-prod already; remove it from one of the two
    g = { kubernetes_context = "k8s-prod" }
  }
}

variable "charts" {
  type = map(object({ repository = string, chart = string, version = string }))
  default = {
    external_dns = { repository = "https://charts.example.org", chart = "external-dns", version = "1.22.0" }
    cert_manager = { repository = "oci://charts.example.org/x", chart = "cert-manager", version = "v1.21.2-rc.1" }
    loki         = { repository = "https://charts.example.org", chart = "loki", version = "18.11.0" }
    alloy        = { repository = "https://charts.example.org", chart = "alloy", version = "1.11.1" }
  }
}
