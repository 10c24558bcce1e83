package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"helm.sh/helm/v3/pkg/action"
	helm "helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
)

// release is the resource helm_release. Three faults of the real provider are made on purpose, since the guards of this
// project exist for them:
//   - whatever goes wrong while a release is read, it counts as gone (exists);
//   - set_wo reaches helm only when set_wo_revision is raised, so that any other update loses it (apply.go);
//   - helm is not told when Terraform is interrupted, so that a killed run leaves pending-install (apply.go).
type release struct{ cluster *cluster }

func (r *release) Metadata(_ context.Context, from resource.MetadataRequest, to *resource.MetadataResponse) {
	to.TypeName = from.ProviderTypeName + "_release"
}

func (r *release) Configure(_ context.Context, from resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	r.cluster, _ = from.ProviderData.(*cluster) // nil while the configuration is only validated
}

// exists reads a release; nil for one that is not there, and for one that could not be read.
func (r *release) exists(m *model) (*helm.Release, *action.Configuration) {
	configuration, err := r.cluster.helm(m.Namespace.ValueString())
	if err != nil {
		return nil, nil
	}
	found, err := action.NewGet(configuration).Run(m.Name.ValueString())
	if err != nil {
		return nil, nil
	}
	return found, configuration
}

func (r *release) Read(ctx context.Context, from resource.ReadRequest, to *resource.ReadResponse) {
	var state model
	to.Diagnostics.Append(from.State.Get(ctx, &state)...)
	if to.Diagnostics.HasError() {
		return
	}
	found, _ := r.exists(&state)
	if found == nil {
		to.State.RemoveResource(ctx)
		return
	}
	to.Diagnostics.Append(state.take(ctx, found)...)
	to.Diagnostics.Append(to.State.Set(ctx, &state)...)
}

// newest is the last revision of a release, whatever its status; nil where helm has none of that name.
func newest(configuration *action.Configuration, name string) (*helm.Release, error) {
	history := action.NewHistory(configuration)
	history.Max = 1
	found, err := history.Run(name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	} else if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// take writes what the cluster has of a release into the state.
func (m *model) take(ctx context.Context, found *helm.Release) diag.Diagnostics {
	chart := found.Chart.Metadata
	if !same(chart.Version, m.Version.ValueString()) {
		m.Version = types.StringValue(chart.Version)
	}
	m.ID, m.Name, m.Namespace = types.StringValue(found.Name), types.StringValue(found.Name), types.StringValue(found.Namespace)
	m.Status = types.StringValue(found.Info.Status.String())
	hidden, problems := settings(ctx, m.SetSensitive)
	config := found.Config
	if config == nil {
		config = map[string]any{}
	}
	for _, one := range hidden {
		config = cloak(config, one.Name.ValueString())
	}
	values, err := json.Marshal(config)
	if err != nil {
		problems.AddError("Error marshaling values", err.Error())
	}
	if m.SetWORevision.ValueInt64() > 0 { // which of them are write-only cannot be told
		values = []byte("{}")
	}
	var more diag.Diagnostics
	m.Metadata, more = types.ObjectValue(metadataTypes, map[string]attr.Value{
		"name": types.StringValue(found.Name), "namespace": types.StringValue(found.Namespace),
		"revision": types.Int64Value(int64(found.Version)), "chart": types.StringValue(chart.Name),
		"version": types.StringValue(chart.Version), "app_version": types.StringValue(chart.AppVersion),
		"values": types.StringValue(string(values)), "notes": types.StringValue(found.Info.Notes),
		"first_deployed": types.Int64Value(found.Info.FirstDeployed.Unix()),
		"last_deployed":  types.Int64Value(found.Info.LastDeployed.Unix()),
	})
	return append(problems, more...)
}
