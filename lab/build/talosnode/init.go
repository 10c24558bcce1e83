package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/siderolabs/talos/pkg/machinery/version"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"
)

const (
	seedFolder = "/var/lib/cloud/seed/nocloud" // Proxmox's cloud-init drive, as the lab's machines have it
	ownDisk    = "/talos"
)

// powerButton is the signal that asks process 1 of a container to switch the machine off: SIGRTMIN+3.
const powerButton = syscall.Signal(37)

// Seed is the version 1 of cloud-init's network configuration, as far as Proxmox writes it.
type Seed struct {
	Config []struct {
		Type    string `json:"type"`
		MAC     string `json:"mac_address"`
		Address any    `json:"address"`
		Subnets []struct {
			Type    string `json:"type"`
			Address string `json:"address"`
			Netmask string `json:"netmask"`
			Gateway string `json:"gateway"`
		} `json:"subnets"`
	} `json:"config"`
}

// machineMain is process 1 of a machine. There is nothing else in it: no shell, no SSH, no cloud-init.
func machineMain() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)

	ctx, stop := signal.NotifyContext(context.Background(), powerButton, syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	release, err := os.ReadFile("/etc/talos-release")
	if err != nil {
		release = []byte(version.Tag)
	}

	node := &Node{
		disk: Disk{root: ownDisk, image: strings.TrimSpace(string(release))},
		programs: Programs{
			APIServer: "/usr/local/bin/kube-apiserver", Etcd: "/usr/local/bin/etcd", Etcdctl: "/usr/local/bin/etcdctl",
		},
		userData: userData(),
	}

	if node.address, node.link, err = network(); err != nil {
		log.Printf("network: %v", err)
		<-ctx.Done()

		return
	}

	ending, err := node.boot(ctx)
	if err != nil {
		log.Print(err)
	}

	unix.Sync()

	if ending == reboot && ctx.Err() == nil {
		if err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART); err != nil {
			log.Print(err)
		}
	}
}

// userData is a machine configuration that the cloud-init drive carries; Talos passes over one for cloud-init.
func userData() []byte {
	text, err := os.ReadFile(filepath.Join(seedFolder, "user-data"))
	if err != nil || bytes.HasPrefix(text, []byte("#cloud-config")) {
		return nil
	}

	return bytes.TrimSpace(text)
}

// network sets up the devices that the seed describes, by their MACs, and gives the first address with its device.
func network() (first netip.Addr, device string, err error) {
	text, err := os.ReadFile(filepath.Join(seedFolder, "network-config"))
	if err != nil {
		return first, "", err
	}

	var seed Seed
	if err := yaml.Unmarshal(text, &seed); err != nil {
		return first, "", err
	}

	if loopback, err := netlink.LinkByName("lo"); err == nil {
		_ = netlink.LinkSetUp(loopback)
	}

	var resolvers []string

	for _, item := range seed.Config {
		if item.Type == "nameserver" {
			servers, _ := item.Address.([]any)
			for _, server := range servers {
				resolvers = append(resolvers, fmt.Sprintf("nameserver %v\n", server))
			}

			continue
		}

		link, err := byMAC(item.MAC)
		if err != nil {
			return first, "", err
		}

		if err := netlink.LinkSetUp(link); err != nil {
			return first, "", err
		}

		for _, subnet := range item.Subnets {
			if subnet.Type != "static" {
				return first, "", fmt.Errorf("%s: %s is not done by this stand-in of Talos; give the machine a static address", item.MAC, subnet.Type)
			}

			address, err := configure(link, subnet.Address, subnet.Netmask, subnet.Gateway)
			if err != nil {
				return first, "", err
			}

			if !first.IsValid() {
				first, device = address, link.Attrs().Name
			}
		}
	}

	if !first.IsValid() {
		return first, "", fmt.Errorf("%s has no static address", seedFolder)
	}

	if err := os.WriteFile("/etc/resolv.conf", []byte(strings.Join(resolvers, "")), 0o644); err != nil {
		return first, "", err
	}

	return first, device, nil
}

func byMAC(mac string) (netlink.Link, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}

	for _, link := range links {
		if strings.EqualFold(link.Attrs().HardwareAddr.String(), mac) {
			return link, nil
		}
	}

	return nil, fmt.Errorf("no network device has the MAC %s", mac)
}

func configure(link netlink.Link, text, netmask, gateway string) (netip.Addr, error) {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return address, err
	}

	mask := net.IPMask(net.ParseIP(netmask).To4())

	err = netlink.AddrReplace(link, &netlink.Addr{IPNet: &net.IPNet{IP: address.AsSlice(), Mask: mask}})
	if err != nil || gateway == "" {
		return address, err
	}

	return address, netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(gateway)})
}
