package main

import (
	"context"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
)

// ImportState takes NAMESPACE/NAME; what else there is of the release is read afterwards.
func (r *release) ImportState(ctx context.Context, from resource.ImportStateRequest, to *resource.ImportStateResponse) {
	namespace, name, found := strings.Cut(from.ID, "/")
	if !found {
		namespace, name = "default", from.ID
	}
	configuration, err := r.cluster.helm(namespace)
	if err != nil {
		to.Diagnostics.AddError("Error getting helm configuration", err.Error())
		return
	}
	known, err := newest(configuration, name)
	if err != nil || known == nil {
		to.Diagnostics.AddError("Error getting release", "Unable to get Helm release "+from.ID)
		return
	}
	for attribute, value := range map[string]string{
		"name": name, "namespace": namespace, "chart": known.Chart.Metadata.Name,
	} {
		to.Diagnostics.Append(to.State.SetAttribute(ctx, path.Root(attribute), value)...)
	}
}
