package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	helm "helm.sh/helm/v3/pkg/release"
)

func (m *model) timeout() time.Duration { return time.Duration(m.Timeout.ValueInt64()) * time.Second }

// Create installs a release. One that failed is in the cluster, and not in the state: as with the real provider.
func (r *release) Create(ctx context.Context, from resource.CreateRequest, to *resource.CreateResponse) {
	var plan, config model
	to.Diagnostics.Append(from.Plan.Get(ctx, &plan)...)
	to.Diagnostics.Append(from.Config.Get(ctx, &config)...)
	if to.Diagnostics.HasError() {
		return
	}
	configuration, err := r.cluster.helm(plan.Namespace.ValueString())
	if err != nil {
		to.Diagnostics.AddError("Error getting helm configuration", err.Error())
		return
	}
	install := action.NewInstall(configuration)
	found, err := r.cluster.fetch(&install.ChartPathOptions, &plan)
	if err != nil {
		to.Diagnostics.AddError("Error locating chart", err.Error())
		return
	}
	values, problems := given(ctx, &plan)
	if config.SetWORevision.ValueInt64() > 0 {
		problems.Append(apply(ctx, config.SetWO, values)...)
	}
	to.Diagnostics.Append(problems...)
	if to.Diagnostics.HasError() {
		return
	}
	var done *helm.Release
	var before *helm.Release
	if plan.UpgradeInstall.ValueBool() {
		if before, err = newest(configuration, plan.Name.ValueString()); err != nil {
			to.Diagnostics.AddError("Error checking installed release", err.Error())
			return
		}
	}
	if before != nil {
		done, err = plan.upgrade(configuration, found, values, 0)
	} else {
		install.ReleaseName, install.Namespace = plan.Name.ValueString(), plan.Namespace.ValueString()
		install.CreateNamespace, install.SkipCRDs = plan.CreateNamespace.ValueBool(), plan.SkipCRDs.ValueBool()
		install.Wait, install.Atomic, install.Timeout = plan.Wait.ValueBool(), plan.Atomic.ValueBool(), plan.timeout()
		install.SubNotes = true
		done, err = install.Run(found, values) // not RunWithContext, which would tidy up when Terraform is interrupted
	}
	if err != nil {
		to.Diagnostics.AddError("installation failed", err.Error())
		return
	}
	to.Diagnostics.Append(plan.take(ctx, done)...)
	to.Diagnostics.Append(to.State.Set(ctx, &plan)...)
}

// upgrade brings a release to what the plan says. history is how many revisions are kept; the real provider gives no
// limit when a release that Terraform does not know yet is upgraded.
func (m *model) upgrade(
	configuration *action.Configuration, to *chart.Chart, values map[string]any, history int,
) (*helm.Release, error) {
	upgrade := action.NewUpgrade(configuration)
	upgrade.Namespace, upgrade.SkipCRDs = m.Namespace.ValueString(), m.SkipCRDs.ValueBool()
	upgrade.Wait, upgrade.Atomic, upgrade.Timeout = m.Wait.ValueBool(), m.Atomic.ValueBool(), m.timeout()
	upgrade.MaxHistory, upgrade.SubNotes = history, true
	return upgrade.Run(m.Name.ValueString(), to, values)
}

func (r *release) Update(ctx context.Context, from resource.UpdateRequest, to *resource.UpdateResponse) {
	var plan, state, config model
	to.Diagnostics.Append(from.Plan.Get(ctx, &plan)...)
	to.Diagnostics.Append(from.State.Get(ctx, &state)...)
	to.Diagnostics.Append(from.Config.Get(ctx, &config)...)
	if to.Diagnostics.HasError() {
		return
	}
	configuration, err := r.cluster.helm(state.Namespace.ValueString())
	if err != nil {
		to.Diagnostics.AddError("Error getting helm configuration", err.Error())
		return
	}
	found, err := r.cluster.fetch(&action.NewUpgrade(configuration).ChartPathOptions, &plan)
	if err != nil {
		to.Diagnostics.AddError("Error locating chart", err.Error())
		return
	}
	values, problems := given(ctx, &plan)
	if plan.SetWORevision.ValueInt64() > state.SetWORevision.ValueInt64() {
		problems.Append(apply(ctx, config.SetWO, values)...)
	}
	to.Diagnostics.Append(problems...)
	if to.Diagnostics.HasError() {
		return
	}
	done, err := plan.upgrade(configuration, found, values, int(plan.MaxHistory.ValueInt64()))
	if err != nil {
		to.Diagnostics.AddError("Error upgrading chart", fmt.Sprintf("Upgrade failed: %s", err))
		return
	}
	to.Diagnostics.Append(plan.take(ctx, done)...)
	to.Diagnostics.Append(to.State.Set(ctx, &plan)...)
}

// Delete uninstalls a release. Of one that cannot be read it says that it is gone, as the real provider does.
func (r *release) Delete(ctx context.Context, from resource.DeleteRequest, to *resource.DeleteResponse) {
	var state model
	to.Diagnostics.Append(from.State.Get(ctx, &state)...)
	if to.Diagnostics.HasError() {
		return
	}
	found, configuration := r.exists(&state)
	if found == nil {
		return
	}
	uninstall := action.NewUninstall(configuration)
	uninstall.Wait, uninstall.Timeout = state.Wait.ValueBool(), state.timeout()
	done, err := uninstall.Run(found.Name)
	if err != nil {
		to.Diagnostics.AddError("Error uninstalling release", err.Error())
	} else if done.Info != "" {
		to.Diagnostics.Append(diag.NewWarningDiagnostic("Helm uninstall returned an information message", done.Info))
	}
}
