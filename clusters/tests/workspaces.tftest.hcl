# Which releases a workspace has, and what Terraform refuses by itself. For a workspace of the name `observability`:
#
#   TF_WORKSPACE=observability terraform test

mock_provider "helm" {}

variables {
  vault_addr = "https://vault.example:8200"
  workload   = { observability = ["externaldns", "cert_manager", "external_secrets", "observability"] }
  config = {
    observability = { kubernetes_context = "k8s-observability", install_crd = true, cert_manager_crd = true }
  }
}

run "as_in_the_example" {
  assert {
    condition = toset([for each in output.releases : "${each.namespace}/${each.name}"]) == toset([
      "cert-manager/cert-manager",
      "external-dns/external-dns",
      "external-dns/external-dns-resources",
      "external-secrets/external-secrets",
      "external-secrets/external-secrets-resources",
      "observability/alloy",
      "observability/kube-prometheus-stack",
      "observability/loki",
    ])
    error_message = jsonencode(output.releases)
  }

  assert {
    condition     = alltrue([for each in output.releases : each.timeout >= 300 && each.version != null && each.chart != null])
    error_message = jsonencode(output.releases)
  }

  assert {
    condition     = output.context == "k8s-observability"
    error_message = "The context is not the one of config."
  }
}

run "all_of_them" {
  variables {
    workload = { observability = ["external-dns", "Cert-Manager", "cert_manager", "external_secrets", "observability", "argocd", "istio"] }
    config = {
      observability = { kubernetes_context = "k8s-observability", issuer_email = "me@example.com", argocd_domain = "cd.example.com" }
    }
  }

  assert {
    condition     = length(output.releases) == 13
    error_message = jsonencode(output.releases)
  }
}

run "nothing_any_more" {
  variables {
    workload = { observability = [] }
  }

  assert {
    condition     = length(output.releases) == 0
    error_message = jsonencode(output.releases)
  }
}

run "unknown_workload" {
  command = plan
  variables {
    workload = { observability = ["external_dnss"] }
  }
  expect_failures = [output.releases]
}

run "no_entry_in_workload" {
  command = plan
  variables {
    workload = {}
  }
  expect_failures = [var.config]
}

run "no_entry_in_either" {
  command = plan
  variables {
    workload = { other = ["argocd"] }
    config   = { other = { kubernetes_context = "k8s-other" } }
  }
  expect_failures = [output.releases]
}

run "no_entry_in_config" {
  command = plan
  variables {
    config = {}
  }
  expect_failures = [var.config]
}

run "pihole_without_its_address" {
  command = plan
  variables {
    config = { observability = { kubernetes_context = "k8s-observability", dns = { provider = "pihole" } } }
  }
  expect_failures = [var.config]
}

run "a_dns_server_that_nobody_knows" {
  command = plan
  variables {
    config = { observability = { kubernetes_context = "k8s-observability", dns = { provider = "route53" } } }
  }
  expect_failures = [var.config]
}

run "a_range_of_versions" {
  command = plan
  variables {
    charts = { loki = { repository = "https://charts.example", chart = "loki", version = "~> 18" } }
  }
  expect_failures = [var.charts]
}

run "a_mirror_without_a_scheme" {
  command = plan
  variables {
    chart_mirror = "charts.example"
  }
  expect_failures = [var.chart_mirror]
}
