package main

import (
	"sync"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/registry"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// cluster is the one that the provider is configured for. Nothing is read before a release needs it.
type cluster struct {
	host, token, path, context string
	charts                     sync.Mutex // helm's download of charts is not made for several at once
}

// helm gives what helm's actions work with in a namespace.
func (c *cluster) helm(namespace string) (*action.Configuration, error) {
	// Without a path nothing is read: the user's own ~/.kube/config is another cluster.
	overrides := &clientcmd.ConfigOverrides{}
	if c.path != "" {
		overrides.CurrentContext = c.context
	}
	overrides.Context.Namespace = namespace
	overrides.ClusterInfo.Server, overrides.AuthInfo.Token = c.host, c.token
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: c.path}
	client := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	configuration := &action.Configuration{}
	if err := configuration.Init(&getter{client}, namespace, "secret", func(string, ...any) {}); err != nil {
		return nil, err
	}
	var err error
	configuration.RegistryClient, err = registry.NewClient()
	return configuration, err
}

// getter is how helm reaches the API. Discovery is kept in memory: helm's own way caches it in the home folder, where
// other clusters have left theirs.
type getter struct{ client clientcmd.ClientConfig }

func (g *getter) ToRawKubeConfigLoader() clientcmd.ClientConfig { return g.client }

func (g *getter) ToRESTConfig() (*rest.Config, error) {
	config, err := g.client.ClientConfig()
	if err == nil {
		config.QPS, config.Burst = 50, 100
	}
	return config, err
}

func (g *getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	config, err := g.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	return memory.NewMemCacheClient(client), nil
}

func (g *getter) ToRESTMapper() (meta.RESTMapper, error) {
	client, err := g.ToDiscoveryClient()
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(client)
	return restmapper.NewShortcutExpander(mapper, client, func(string) {}), nil
}
