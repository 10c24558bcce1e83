output "releases" {
  description = "The releases of this workspace."
  value       = flatten(values(local.releases))

  # Here and not in variables.tf, which scripts read alone. A destroy asks none of these, so that a workspace whose
  # entries are gone can still be emptied.
  precondition {
    condition     = local.workspace != "default"
    error_message = "The workspace is default, and clusters are in workspaces of their own: select one of ${join(", ", keys(var.workload))}."
  }

  precondition {
    condition     = contains(keys(var.workload), local.workspace)
    error_message = "The map workload in variables.tf has no entry ${local.workspace}; it has ${join(", ", keys(var.workload))}. To remove what the workspace runs, write `${local.workspace} = []`."
  }

  precondition {
    condition     = contains(keys(var.config), local.workspace)
    error_message = "The map config in variables.tf has no entry ${local.workspace}; it has ${join(", ", keys(var.config))}."
  }

  precondition {
    condition     = length(local.unknown) == 0
    error_message = "${local.workspace} asks for ${join(", ", local.unknown)}, which is not a folder in modules/; there are ${join(", ", local.available)}."
  }

  precondition {
    condition     = length(local.unused) == 0
    error_message = "modules/ has ${join(", ", local.unused)}, but modules.tf does not use it: add the module, and its line to releases."
  }
}

output "context" {
  description = "The cluster of this workspace: a context in Vault's kubeconfig."
  value       = try(local.config.kubernetes_context, null)
}
