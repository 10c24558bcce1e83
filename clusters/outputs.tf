output "releases" {
  description = "The releases of this workspace."
  value       = flatten(values(local.releases))

  # Here and not in variables.tf, which scripts read alone. A destroy asks none of these, so that a workspace whose
  # entries are gone can still be emptied.
  precondition {
    # `default` is where Terraform is when no workspace was selected.
    condition     = contains(setsubtract(keys(var.workload), ["default"]), local.workspace)
    error_message = "The map workload in variables.tf has no workspace ${local.workspace}; it has ${local.known}. Select one of them; to remove what a workspace runs, write `NAME = []`."
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
