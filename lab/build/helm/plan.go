package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"helm.sh/helm/v3/pkg/action"
)

// ModifyPlan fetches the chart, so that a plan fails where an apply would, and says what Terraform cannot know.
func (r *release) ModifyPlan(ctx context.Context, from resource.ModifyPlanRequest, to *resource.ModifyPlanResponse) {
	if from.Plan.Raw.IsNull() || r.cluster == nil {
		return
	}
	var plan, config model
	var state *model
	to.Diagnostics.Append(from.Plan.Get(ctx, &plan)...)
	to.Diagnostics.Append(from.Config.Get(ctx, &config)...)
	to.Diagnostics.Append(from.State.Get(ctx, &state)...)
	if to.Diagnostics.HasError() {
		return
	}
	name := plan.Name.ValueString()
	configuration, err := r.cluster.helm(plan.Namespace.ValueString())
	if err != nil {
		to.Diagnostics.AddError("Error getting Helm configuration", err.Error())
		return
	}
	plan.Status = types.StringValue("deployed")
	found, err := r.cluster.fetch(&action.NewInstall(configuration).ChartPathOptions, &plan)
	if err != nil {
		to.Diagnostics.AddError("Error locating chart", err.Error())
		return
	}
	version := found.Metadata.Version
	if config.Version.IsNull() && plan.UpgradeInstall.ValueBool() {
		if installed, err := newest(configuration, name); err != nil {
			to.Diagnostics.AddError("Failed to check installed release version", err.Error())
			return
		} else if installed != nil {
			version = installed.Chart.Metadata.Version
		}
	} else if !config.Version.IsNull() && same(config.Version.ValueString(), version) {
		version = config.Version.ValueString()
	} else if !config.Version.IsNull() {
		to.Diagnostics.AddError("Planned version is different from configured version", fmt.Sprintf(
			"The version in the configuration is %q but the planned version is %q.", config.Version.ValueString(), version))
		return
	}
	plan.Version = types.StringValue(version)
	if state == nil || !(plan.Chart.Equal(state.Chart) && plan.Repository.Equal(state.Repository) &&
		plan.Version.Equal(state.Version) && plan.Values.Equal(state.Values) && plan.Set.Equal(state.Set) &&
		plan.SetSensitive.Equal(state.SetSensitive)) {
		plan.Metadata = types.ObjectUnknown(metadataTypes)
	}
	to.Diagnostics.Append(to.Plan.Set(ctx, &plan)...)
}

// same compares versions as the real provider does: v1.2.3 is 1.2.3.
func same(a, b string) bool { return strings.TrimPrefix(a, "v") == strings.TrimPrefix(b, "v") }
