# Where records go, and what may be removed there.

mock_provider "helm" {}

variables {
  chart        = { repository = "https://charts.example", chart = "external-dns", version = "1.22.0" }
  install_crd  = true
  owner        = "k8s-observability"
  secret_store = "vault"
  dns          = { provider = "cloudflare", domains = ["example.com"] }
}

run "cloudflare" {
  module {
    source = "./modules/externaldns"
  }

  assert {
    condition = {
      for key, value in yamldecode(helm_release.this.values[0]) : key => value
      if contains(["policy", "registry", "txtOwnerId"], key)
    } == { policy = "sync", registry = "txt", txtOwnerId = "k8s-observability" }
    error_message = helm_release.this.values[0]
  }

  assert {
    condition     = yamldecode(helm_release.this.values[0]).env[0].valueFrom.secretKeyRef == { name = "cloudflare", key = "token" }
    error_message = "The Secret of the pod is not the one that comes from Vault."
  }

  assert {
    condition     = yamldecode(helm_release.resources[0].values[0]).secret == "cloudflare"
    error_message = helm_release.resources[0].values[0]
  }
}

run "pihole" {
  variables {
    dns = { provider = "pihole", domains = [], server = "http://192.168.1.2" }
  }

  module {
    source = "./modules/externaldns"
  }

  assert {
    condition = {
      for key, value in yamldecode(helm_release.this.values[0]) : key => value
      if contains(["policy", "registry", "txtOwnerId"], key)
    } == { policy = "upsert-only", registry = "noop", txtOwnerId = "" }
    error_message = helm_release.this.values[0]
  }

  assert {
    condition     = yamldecode(helm_release.this.values[0]).extraArgs == ["--pihole-server=http://192.168.1.2"]
    error_message = helm_release.this.values[0]
  }
}

run "without_external_secrets" {
  variables {
    secret_store = null
  }

  module {
    source = "./modules/externaldns"
  }

  assert {
    condition     = length(helm_release.resources) == 0 && length(output.releases) == 1
    error_message = "Nothing could read its ExternalSecret."
  }
}
