# external-dns: the cluster's Services and Ingresses get their names in Cloudflare or Pi-hole.

locals {
  resources = "${path.module}/chart"
  files     = { for file in fileset(local.resources, "**") : file => filesha1("${local.resources}/${file}") }

  # The field of the secret in Vault, which is the key in the cluster's Secret too, and how external-dns is given it.
  token    = var.dns.provider == "pihole" ? "password" : "token"
  variable = var.dns.provider == "pihole" ? "EXTERNAL_DNS_PIHOLE_PASSWORD" : "CF_API_TOKEN"
}

# The token comes from Vault into the cluster, and never through Terraform. Where external_secrets does not run, the
# Secret is made by hand.
resource "helm_release" "resources" {
  count = var.secret_store == null ? 0 : 1

  name             = "external-dns-resources"
  namespace        = "external-dns"
  create_namespace = true
  chart            = local.resources
  version          = yamldecode(file("${local.resources}/Chart.yaml")).version

  atomic          = true
  upgrade_install = true
  wait            = true
  timeout         = 300
  max_history     = 10

  values = [yamlencode({
    store  = var.secret_store
    secret = var.dns.provider
    field  = local.token
    # A changed template with the same version would not be noticed.
    filesHash = sha1(jsonencode(local.files))
  })]
}

resource "helm_release" "this" {
  name             = "external-dns"
  namespace        = "external-dns"
  create_namespace = true
  repository       = var.chart.repository
  chart            = var.chart.chart
  version          = var.chart.version
  skip_crds        = !var.install_crd

  atomic          = true
  upgrade_install = true
  wait            = true
  timeout         = 600
  max_history     = 10

  values = [yamlencode({
    provider      = { name = var.dns.provider }
    sources       = ["service", "ingress"]
    domainFilters = var.dns.domains
    # In Cloudflare each record has a TXT record that names its owner, so that only the cluster's own are removed.
    # Pi-hole has no such records: there, nothing is ever removed.
    policy     = var.dns.provider == "pihole" ? "upsert-only" : "sync"
    registry   = var.dns.provider == "pihole" ? "noop" : "txt"
    txtOwnerId = var.dns.provider == "pihole" ? "" : var.owner
    extraArgs  = var.dns.provider == "pihole" ? ["--pihole-server=${var.dns.server}"] : []
    env = [{
      name      = local.variable
      valueFrom = { secretKeyRef = { name = var.dns.provider, key = local.token } }
    }]
  })]

  # Its pods start only with the Secret.
  depends_on = [helm_release.resources]
}
