// The lab's Vault: HashiCorp's own core and HTTP handler with the KV engine and the JWT login, state kept in
// a folder.
//
// The whole `vault` command cannot be built from its published module, but its core can. Started as
// `vault -listen 127.0.0.1:8200 -storage DIR`; it begins uninitialised, and sealed after every start.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	jwt "github.com/hashicorp/vault-plugin-auth-jwt"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/vault"
)

// engines are what Vault is to know: the KV engine for secrets, and the login by signed tokens (JWT) for clusters.
var engines = map[consts.PluginType]map[string]logical.Factory{
	consts.PluginTypeSecrets:    {"kv": kv.Factory},
	consts.PluginTypeCredential: {"jwt": jwt.Factory},
}

// builtins is a plugin registry that knows the engines alone.
type builtins struct{}

func find(name string, kind consts.PluginType) (logical.Factory, bool) {
	for known, factories := range engines {
		if factory, ok := factories[name]; ok && (kind == known || kind == consts.PluginTypeUnknown) {
			return factory, true
		}
	}
	return nil, false
}

func (builtins) Contains(name string, kind consts.PluginType) bool {
	_, ok := find(name, kind)
	return ok
}

func (builtins) Get(name string, kind consts.PluginType) (func() (interface{}, error), bool) {
	factory, ok := find(name, kind)
	return func() (interface{}, error) { return logical.Factory(factory), nil }, ok
}

func (builtins) Keys(kind consts.PluginType) []string {
	return slices.Sorted(maps.Keys(engines[kind]))
}

func (builtins) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	_, ok := find(name, kind)
	return consts.Supported, ok
}

func (builtins) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }

func run() error {
	listen := flag.String("listen", "127.0.0.1:8200", "address to serve on")
	storage := flag.String("storage", "", "folder that holds the encrypted state")
	flag.Parse()

	logger := hclog.New(&hclog.LoggerOptions{Name: "vault", Level: hclog.Info})
	backend, err := file.NewFileBackend(map[string]string{"path": *storage}, logger)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:           backend,
		LogicalBackends:    engines[consts.PluginTypeSecrets],
		CredentialBackends: engines[consts.PluginTypeCredential],
		BuiltinRegistry:    builtins{},
		Logger:             logger,
		DisableMlock:       true,
		RedirectAddr:       "http://" + *listen,
	})
	if err != nil {
		return err
	}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: vaulthttp.Handler.Handler(&vault.HandlerProperties{
			Core:           core,
			ListenerConfig: &configutil.Listener{Type: "tcp", Address: *listen},
		}),
	}
	stopped, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	go func() {
		<-stopped.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return core.Shutdown()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "vault:", err)
		os.Exit(1)
	}
}
