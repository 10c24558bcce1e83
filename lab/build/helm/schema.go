package main

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64default"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// model is a helm_release as Terraform has it.
type model struct {
	ID              types.String `tfsdk:"id"`
	Name            types.String `tfsdk:"name"`
	Namespace       types.String `tfsdk:"namespace"`
	Repository      types.String `tfsdk:"repository"`
	Chart           types.String `tfsdk:"chart"`
	Version         types.String `tfsdk:"version"`
	CreateNamespace types.Bool   `tfsdk:"create_namespace"`
	Atomic          types.Bool   `tfsdk:"atomic"`
	Wait            types.Bool   `tfsdk:"wait"`
	Timeout         types.Int64  `tfsdk:"timeout"`
	SkipCRDs        types.Bool   `tfsdk:"skip_crds"`
	UpgradeInstall  types.Bool   `tfsdk:"upgrade_install"`
	MaxHistory      types.Int64  `tfsdk:"max_history"`
	Values          types.List   `tfsdk:"values"`
	Set             types.List   `tfsdk:"set"`
	SetSensitive    types.List   `tfsdk:"set_sensitive"`
	SetWO           types.List   `tfsdk:"set_wo"`
	SetWORevision   types.Int64  `tfsdk:"set_wo_revision"`
	Status          types.String `tfsdk:"status"`
	Metadata        types.Object `tfsdk:"metadata"`
}

// What metadata has.
var metadataTypes = map[string]attr.Type{
	"app_version": types.StringType, "chart": types.StringType, "first_deployed": types.Int64Type,
	"last_deployed": types.Int64Type, "name": types.StringType, "namespace": types.StringType,
	"notes": types.StringType, "revision": types.Int64Type, "values": types.StringType, "version": types.StringType,
}

func flag(value bool) schema.Attribute {
	return schema.BoolAttribute{Optional: true, Computed: true, Default: booldefault.StaticBool(value)}
}

func number(value int64) schema.Attribute {
	return schema.Int64Attribute{Optional: true, Computed: true, Default: int64default.StaticInt64(value)}
}

// list is one of the three that set single values. What is write-only has to be so on each level.
func list(sensitive, writeOnly bool) schema.Attribute {
	return schema.ListNestedAttribute{Optional: true, WriteOnly: writeOnly, NestedObject: schema.NestedAttributeObject{
		Attributes: map[string]schema.Attribute{
			"name":  schema.StringAttribute{Required: true, WriteOnly: writeOnly},
			"value": schema.StringAttribute{Required: true, Sensitive: sensitive, WriteOnly: writeOnly},
			"type":  schema.StringAttribute{Optional: true, WriteOnly: writeOnly},
		},
	}}
}

func (r *release) Schema(_ context.Context, _ resource.SchemaRequest, to *resource.SchemaResponse) {
	replaced := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	to.Schema = schema.Schema{Version: 2, Attributes: map[string]schema.Attribute{
		"id":   schema.StringAttribute{Computed: true},
		"name": schema.StringAttribute{Required: true, PlanModifiers: replaced},
		"namespace": schema.StringAttribute{
			Optional: true, Computed: true, Default: stringdefault.StaticString("default"), PlanModifiers: replaced,
		},
		"repository":       schema.StringAttribute{Optional: true},
		"chart":            schema.StringAttribute{Required: true},
		"version":          schema.StringAttribute{Optional: true, Computed: true},
		"create_namespace": flag(false),
		"atomic":           flag(false),
		"wait":             flag(true),
		"timeout":          number(300),
		"skip_crds":        flag(false),
		"upgrade_install":  flag(false),
		"max_history":      number(0),
		"values":           schema.ListAttribute{Optional: true, ElementType: types.StringType},
		"set":              list(false, false),
		"set_sensitive":    list(true, false),
		"set_wo":           list(false, true),
		"set_wo_revision":  schema.Int64Attribute{Optional: true},
		"status":           schema.StringAttribute{Computed: true},
		"metadata":         schema.SingleNestedAttribute{Computed: true, Attributes: metadata()},
	}}
}

func metadata() map[string]schema.Attribute {
	all := map[string]schema.Attribute{}
	for name, kind := range metadataTypes {
		if kind == types.Int64Type {
			all[name] = schema.Int64Attribute{Computed: true}
		} else {
			all[name] = schema.StringAttribute{Computed: true}
		}
	}
	return all
}
