package main

import (
	"context"
	"encoding/binary"
	"log"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"golang.org/x/sys/unix"
)

// VIP keeps which shared addresses the node holds.
type VIP struct {
	mu   sync.Mutex
	held map[netip.Addr]netlink.Link
}

// sharedAddresses are those of the configuration's Layer2VIPConfig documents and of the older field.
func (b *Boot) sharedAddresses() []netip.Addr {
	var found []netip.Addr

	for _, document := range b.config().NetworkVirtualIPConfigs() {
		found = append(found, document.VIP())
	}

	return found
}

// shareAddresses takes part in the election of the node that holds the shared addresses: it is held in etcd, so that
// there is no holder before the cluster is bootstrapped, nor without a quorum.
func (b *Boot) shareAddresses(ctx context.Context) {
	for every(ctx, time.Second) {
		addresses := b.sharedAddresses()
		if len(addresses) == 0 || !b.services.healthy("etcd") {
			continue
		}

		if b.link == "" {
			log.Print("shared addresses are held only in a machine of its own")

			return
		}

		if err := b.hold(ctx, addresses); err != nil && ctx.Err() == nil {
			log.Printf("shared addresses: %v", err)
		}
	}
}

// hold waits until the node is elected and keeps the addresses while its lease lasts.
func (b *Boot) hold(ctx context.Context, addresses []netip.Addr) error {
	client, err := b.etcd.client([]string{b.url(2379)})
	if err != nil {
		return err
	}
	defer client.Close()

	session, err := concurrency.NewSession(client, concurrency.WithTTL(5), concurrency.WithContext(ctx))
	if err != nil {
		return err
	}
	defer session.Close()

	if err := concurrency.NewElection(session, "talos:vip").Campaign(clientv3.WithRequireLeader(ctx), b.hostname()); err != nil {
		return err
	}

	defer b.dropAddresses()

	for _, address := range addresses {
		if err := b.add(address); err != nil {
			return err
		}
	}

	select {
	case <-ctx.Done():
	case <-session.Done():
	}

	return ctx.Err()
}

func (b *Boot) add(address netip.Addr) error {
	link, err := netlink.LinkByName(b.link)
	if err != nil {
		return err
	}

	b.vip.mu.Lock()
	defer b.vip.mu.Unlock()

	if b.vip.held == nil {
		b.vip.held = map[netip.Addr]netlink.Link{}
	}

	if err := netlink.AddrReplace(link, single(address)); err != nil {
		return err
	}

	b.vip.held[address] = link
	log.Printf("holds the shared address %s", address)

	return announce(link, address)
}

func single(address netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(address.BitLen(), address.BitLen())}}
}

func (b *Boot) dropAddresses() {
	b.vip.mu.Lock()
	defer b.vip.mu.Unlock()

	for address, link := range b.vip.held {
		if err := netlink.AddrDel(link, single(address)); err != nil {
			log.Print(err)
		}

		delete(b.vip.held, address)
	}
}

// announce tells the network where an address is now, by a gratuitous ARP.
func announce(link netlink.Link, address netip.Addr) error {
	if !address.Is4() {
		return nil
	}

	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket) //nolint:errcheck

	own, all := link.Attrs().HardwareAddr, net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

	frame := append(append([]byte{}, all...), own...)
	for _, field := range []uint16{unix.ETH_P_ARP, 1, unix.ETH_P_IP, 6<<8 | 4, 2} { // an answer about IPv4 on Ethernet
		frame = binary.BigEndian.AppendUint16(frame, field)
	}

	frame = append(append(frame, own...), address.AsSlice()...)
	frame = append(append(frame, all...), address.AsSlice()...)

	return unix.Sendto(socket, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index, Halen: 6, Addr: [8]byte(append(append([]byte{}, all...), 0, 0))})
}
