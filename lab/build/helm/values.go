package main

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"
)

// one value of set, set_sensitive or set_wo.
type setting struct {
	Name  types.String `tfsdk:"name"`
	Value types.String `tfsdk:"value"`
	Type  types.String `tfsdk:"type"`
}

func settings(ctx context.Context, list types.List) (found []setting, problems diag.Diagnostics) {
	if list.IsNull() || list.IsUnknown() {
		return nil, nil
	}
	return found, list.ElementsAs(ctx, &found, false)
}

// given are the values of a release: values, then set, then set_sensitive, the later ones on top; set_wo is not among them.
func given(ctx context.Context, m *model) (map[string]any, diag.Diagnostics) {
	var texts []string
	problems := m.Values.ElementsAs(ctx, &texts, true)
	all := map[string]any{}
	for _, text := range texts {
		one := map[string]any{}
		if err := yaml.Unmarshal([]byte(text), &one); err != nil {
			problems.AddError("Error unmarshaling values", err.Error())
		}
		all = merged(all, one)
	}
	for _, list := range []types.List{m.Set, m.SetSensitive} {
		problems.Append(apply(ctx, list, all)...)
	}
	return all, problems
}

// apply puts what a list sets into values.
func apply(ctx context.Context, list types.List, into map[string]any) diag.Diagnostics {
	found, problems := settings(ctx, list)
	for _, one := range found {
		text, parse := one.Name.ValueString()+"="+one.Value.ValueString(), strvals.ParseInto
		switch kind := one.Type.ValueString(); kind {
		case "", "auto":
		case "string":
			parse = strvals.ParseIntoString
		case "literal":
			parse = strvals.ParseLiteralInto
		default:
			problems.AddError("Unexpected type", fmt.Sprintf("Unexpected type: %s", kind))
			continue
		}
		if err := parse(text, into); err != nil {
			problems.AddError("Failed parsing value", fmt.Sprintf("Failed parsing key %q: %s", one.Name.ValueString(), err))
		}
	}
	return problems
}

func merged(below, above map[string]any) map[string]any {
	all := maps.Clone(below)
	for key, value := range above {
		inner, isMap := value.(map[string]any)
		if former, wasMap := all[key].(map[string]any); isMap && wasMap {
			value = merged(former, inner)
		}
		all[key] = value
	}
	return all
}

// cloak hides what came by set_sensitive.
func cloak(values map[string]any, name string) map[string]any {
	head, rest, nested := strings.Cut(name, ".")
	all := maps.Clone(values)
	if inner, isMap := all[head].(map[string]any); nested && isMap {
		all[head] = cloak(inner, rest)
	} else if !nested {
		all[head] = "(sensitive value)"
	}
	return all
}
