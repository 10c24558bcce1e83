package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log"
	"net/netip"
	"os"
	"sync"

	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/crypto/x509"
	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/nethelpers"
)

// Node is a machine, from one boot to the next.
type Node struct {
	disk     Disk
	address  netip.Addr
	bind     string // the address to listen on; empty: on all
	link     string // the network device of a machine of its own; empty: none
	programs Programs
	userData []byte // a configuration from the cloud-init drive; nil: none
}

// Ending is how a boot ends.
type Ending string

const (
	reboot   Ending = "reboot"
	shutdown Ending = "shutdown"
)

// Boot is what lasts from one boot to the next.
type Boot struct {
	*Node

	id        string
	events    Events
	services  Services
	state     state.State
	ending    chan Ending
	etcd      Etcd
	kubelet   Kubelet
	apiserver APIServer
	vip       VIP

	wipe *[]string // the labels of partitions to be wiped at the end of the boot; none of them: the whole disk

	mu     sync.Mutex
	active config.Provider // nil in maintenance mode
	server *x509.PEMEncodedCertificateAndKey
	client *x509.PEMEncodedCertificateAndKey // nil on a worker
}

// Run boots the node until it is shut down.
func (n *Node) Run(ctx context.Context) error {
	for {
		ending, err := n.boot(ctx)
		if err != nil || ctx.Err() != nil || ending == shutdown {
			return err
		}
	}
}

func (n *Node) boot(ctx context.Context) (Ending, error) {
	if n.disk.meta().Blank {
		log.Print("no bootable device: the whole disk was wiped")
		<-ctx.Done()

		return shutdown, nil
	}

	if err := n.disk.prepare(); err != nil {
		return shutdown, err
	}

	boot := &Boot{Node: n, id: newID(), ending: make(chan Ending, 1)}
	boot.events.boot = boot.id

	if err := boot.makeResources(ctx); err != nil {
		return shutdown, err
	}

	provider, err := n.disk.config()
	if err != nil {
		return shutdown, err
	}

	if provider == nil && len(n.userData) > 0 {
		if provider, err = configloader.NewFromBytes(n.userData); err != nil {
			return shutdown, err
		}

		if err := n.disk.setConfig(provider); err != nil {
			return shutdown, err
		}
	}

	if provider == nil || provider.RawV1Alpha1() == nil {
		ended, applied, err := boot.maintain(ctx)
		if applied == nil || err != nil {
			return ended, err
		}

		provider = applied
	}

	return boot.run(ctx, provider)
}

// config is the configuration that the node runs with.
func (b *Boot) config() config.Provider {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.active
}

func (b *Boot) setConfig(provider config.Provider) {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.active = provider
	b.publishConfig(provider)
}

func (b *Boot) isControlPlane() bool {
	return b.config().Machine().Type() != machine.TypeWorker
}

// hostname is that of a HostnameConfig (or of the older field), else one that is made of the machine's identity.
func (b *Boot) hostname() string {
	if provider := b.config(); provider != nil {
		if named := provider.NetworkHostnameConfig(); named != nil {
			if name := named.Hostname(); name != "" {
				return name
			}

			if named.AutoHostname() == nethelpers.AutoHostnameKindOff {
				return "localhost"
			}
		}
	}

	bytes := b.address.As16()

	return "talos-" + hex.EncodeToString(bytes[12:])
}

// end has the boot end; the first to ask decides how.
func (b *Boot) end(how Ending) {
	select {
	case b.ending <- how:
	default:
	}
}

func (n *Node) listenAddress(port int) string {
	return fmt.Sprintf("%s:%d", bracketed(n.bind), port)
}

func bracketed(address string) string {
	if parsed, err := netip.ParseAddr(address); err == nil && parsed.Is6() {
		return "[" + address + "]"
	}

	return address
}

func newID() string {
	bytes := make([]byte, 16)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}

	text := hex.EncodeToString(bytes)

	return fmt.Sprintf("%s-%s-%s-%s-%s", text[:8], text[8:12], text[12:16], text[16:20], text[20:])
}

func setHostname(name string) {
	if os.Getpid() == 1 {
		if err := os.WriteFile("/proc/sys/kernel/hostname", []byte(name), 0o644); err != nil {
			log.Print(err)
		}
	}
}
