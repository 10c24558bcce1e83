// A stand-in for a machine with Talos Linux: its machine API, over the types and the configuration of Talos' own
// pkg/machinery, in front of a real etcd and a real kube-apiserver.
//
// As a program (tests) it is a node on one address; as process 1 of a machine it first sets up the network from
// Proxmox's cloud-init drive. What is real and what is not stands in lab/README.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/siderolabs/talos/pkg/machinery/version"
)

func main() {
	if os.Getpid() == 1 {
		machineMain()

		return
	}

	address := flag.String("address", "", "the node's address; without --link, it listens on no other")
	link := flag.String("link", "", "the network device of a namespace of the node's own, for shared addresses")
	disk := flag.String("disk", "", "the folder that stands for the machine's disk")
	programs := flag.String("programs", "", "the folder of kube-apiserver, etcd and etcdctl")
	release := flag.String("version", version.Tag, "the release of Talos that the disk's image holds")
	flag.Parse()

	addr, err := netip.ParseAddr(*address)
	if err != nil || *disk == "" || *programs == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: talosnode --address IP [--link DEVICE] --disk FOLDER --programs FOLDER [--version v1.12.0]")
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	node := &Node{
		disk:    Disk{root: *disk, image: *release},
		address: addr,
		link:    *link,
		programs: Programs{
			APIServer: filepath.Join(*programs, "kube-apiserver"),
			Etcd:      filepath.Join(*programs, "etcd"),
			Etcdctl:   filepath.Join(*programs, "etcdctl"),
		},
	}

	if *link == "" {
		node.bind = addr.String()
	}

	log.SetFlags(log.Ltime | log.Lmicroseconds)

	if err := node.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
