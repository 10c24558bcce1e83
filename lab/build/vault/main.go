// The lab's Vault: HashiCorp's own core and HTTP handler with the KV engine, state kept in a folder.
//
// The whole `vault` command cannot be built from its published module, but its core can. Started as
// `vault -listen 127.0.0.1:8200 -storage DIR`; it begins uninitialised, and sealed after every start.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/vault"
)

// builtins is a plugin registry that knows the KV engine alone.
type builtins struct{}

func isKV(name string, kind consts.PluginType) bool {
	return name == "kv" && (kind == consts.PluginTypeSecrets || kind == consts.PluginTypeUnknown)
}

func (builtins) Contains(name string, kind consts.PluginType) bool { return isKV(name, kind) }

func (builtins) Get(name string, kind consts.PluginType) (func() (interface{}, error), bool) {
	return func() (interface{}, error) { return logical.Factory(kv.Factory), nil }, isKV(name, kind)
}

func (builtins) Keys(kind consts.PluginType) []string {
	return slices.DeleteFunc([]string{"kv"}, func(name string) bool { return !isKV(name, kind) })
}

func (builtins) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, isKV(name, kind)
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
		Physical:        backend,
		LogicalBackends: map[string]logical.Factory{"kv": kv.Factory},
		BuiltinRegistry: builtins{},
		Logger:          logger,
		DisableMlock:    true,
		RedirectAddr:    "http://" + *listen,
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
