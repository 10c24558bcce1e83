package main

import (
	"context"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

type helmProvider struct{}

// access says which cluster, and with what credentials.
type access struct {
	Host          types.String `tfsdk:"host"`
	Token         types.String `tfsdk:"token"`
	ConfigPath    types.String `tfsdk:"config_path"`
	ConfigContext types.String `tfsdk:"config_context"`
}

func (p *helmProvider) Metadata(_ context.Context, _ provider.MetadataRequest, to *provider.MetadataResponse) {
	to.TypeName, to.Version = "helm", "3.1.2"
}

func (p *helmProvider) Schema(_ context.Context, _ provider.SchemaRequest, to *provider.SchemaResponse) {
	text := schema.StringAttribute{Optional: true}
	to.Schema = schema.Schema{Attributes: map[string]schema.Attribute{
		"kubernetes": schema.SingleNestedAttribute{Optional: true, Attributes: map[string]schema.Attribute{
			"host": text, "token": schema.StringAttribute{Optional: true, Sensitive: true},
			"config_path": text, "config_context": text,
		}},
	}}
}

func (p *helmProvider) Configure(ctx context.Context, from provider.ConfigureRequest, to *provider.ConfigureResponse) {
	var config struct {
		Kubernetes *access `tfsdk:"kubernetes"`
	}
	to.Diagnostics.Append(from.Config.Get(ctx, &config)...)
	if to.Diagnostics.HasError() {
		return
	}
	if config.Kubernetes == nil {
		config.Kubernetes = &access{}
	}
	to.ResourceData = &cluster{
		host:    or(config.Kubernetes.Host, "KUBE_HOST"),
		token:   or(config.Kubernetes.Token, "KUBE_TOKEN"),
		path:    or(config.Kubernetes.ConfigPath, "KUBE_CONFIG_PATH"),
		context: or(config.Kubernetes.ConfigContext, "KUBE_CTX"),
	}
}

// or gives what is configured, else what the environment variable has.
func or(value types.String, variable string) string {
	if value.IsNull() {
		return os.Getenv(variable)
	}
	return value.ValueString()
}

func (p *helmProvider) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{func() resource.Resource { return &release{} }}
}

func (p *helmProvider) DataSources(context.Context) []func() datasource.DataSource { return nil }
