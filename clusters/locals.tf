locals {
  workspace = terraform.workspace
  config    = lookup(var.config, local.workspace, null)

  # "external-dns" and "external_dns" are the folder externaldns; every other name only differs in `-` and `_`.
  spellings = { external_dns = "externaldns" }
  named     = [for name in lookup(var.workload, local.workspace, []) : replace(lower(name), "-", "_")]
  workloads = distinct([for name in local.named : lookup(local.spellings, name, name)])

  charts = {
    for name, each in var.charts : name => merge(each, { repository = coalesce(var.chart_mirror, each.repository) })
  }

  # What outputs.tf refuses.
  known     = length(var.workload) == 0 ? "none" : join(", ", keys(var.workload))
  available = [for file in fileset(path.module, "modules/*/main.tf") : basename(dirname(file))]
  unknown   = setsubtract(local.workloads, local.available)
  unused    = setsubtract(setsubtract(local.workloads, local.unknown), keys(local.releases))
}
