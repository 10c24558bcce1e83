package main

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/registry"
)

// fetch locates and loads the chart of a release: a folder, or one of a repository. Every plan does so too.
func (c *cluster) fetch(options *action.ChartPathOptions, m *model) (*chart.Chart, error) {
	c.charts.Lock()
	defer c.charts.Unlock()
	name, repository := m.Chart.ValueString(), m.Repository.ValueString()
	if registry.IsOCI(repository) {
		address, err := url.Parse(repository)
		if err != nil {
			return nil, err
		}
		address.Path = path.Join(address.Path, name)
		name = address.String()
	} else {
		options.RepoURL = repository
	}
	if _, err := os.Stat(name); err != nil {
		options.Version = strings.TrimSpace(m.Version.ValueString())
	}
	place, err := options.LocateChart(name, cli.New())
	if err != nil {
		return nil, fmt.Errorf("Unable to locate chart %s: %w", name, err)
	}
	loaded, err := loader.Load(place)
	if err != nil {
		return nil, fmt.Errorf("Unable to load chart %s: %w", place, err)
	}
	if kind := loaded.Metadata.Type; kind != "" && kind != "application" {
		return nil, fmt.Errorf("%s charts are not installable", kind)
	}
	return loaded, action.CheckDependencies(loaded, loaded.Metadata.Dependencies)
}
