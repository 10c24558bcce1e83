package main

import (
	"context"
	"fmt"
	"log"
	"reflect"
	"slices"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/config"
)

// run is the life of a node that has a configuration: the API, etcd and kube-apiserver on a control plane node,
// the registration as a Node.
func (b *Boot) run(ctx context.Context, provider config.Provider) (Ending, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	b.setConfig(provider)
	b.setStage(machine.MachineStatusEvent_BOOTING, false)
	setHostname(b.hostname())
	log.Printf("boot %s: %s %s, a %s", b.id, b.hostname(), b.address, provider.Machine().Type())

	b.services.set("machined", "Running", true, "Service started as a task of the machine")

	api := &API{boot: b}
	defer api.cancelTrial()

	server, err := b.serveAPI(ctx, api)
	if err != nil {
		return shutdown, err
	}

	time.AfterFunc(criDelay, func() { b.services.set("cri", "Running", true, "Health check successful") })

	b.etcd.boot, b.kubelet.boot = b, b

	if b.isControlPlane() {
		if err := b.serveTrust(ctx); err != nil {
			return shutdown, err
		}

		if err := b.etcd.start(ctx); err != nil {
			return shutdown, err
		}

		go b.serveKubernetes(ctx)
		go b.shareAddresses(ctx)
	}

	go b.kubelet.run(ctx)
	go b.watchReady(ctx)

	ending := shutdown
	select {
	case <-ctx.Done():
	case ending = <-b.ending:
	}

	cancel()
	server.Stop()
	b.apiserver.stop()
	b.etcd.stop()
	b.dropAddresses()

	if b.wipe != nil {
		if err := b.disk.wipe(*b.wipe); err != nil {
			return shutdown, fmt.Errorf("wiping the disk: %w", err)
		}
	}

	return ending, nil
}

// reconfigure takes what can change while the node runs.
func (b *Boot) reconfigure(provider config.Provider) {
	old, name, shared := b.config(), b.hostname(), b.sharedAddresses()

	b.setConfig(provider)
	setHostname(b.hostname())

	if err := b.renew(); err != nil {
		log.Print(err)
	}

	same := reflect.DeepEqual(old.RawV1Alpha1().ClusterConfig, provider.RawV1Alpha1().ClusterConfig)
	if !same || name != b.hostname() || !slices.Equal(shared, b.sharedAddresses()) {
		go b.apiserver.stop() // the loop of serveKubernetes starts it with what is wanted now
	}
}

// ready is whether all services of the node are.
func (b *Boot) ready() []*machine.MachineStatusEvent_MachineStatus_UnmetCondition {
	names := []string{"apid", "cri", "kubelet"}
	if b.isControlPlane() {
		names = append(names, "etcd", "trustd")
	}

	var unmet []*machine.MachineStatusEvent_MachineStatus_UnmetCondition

	for _, name := range names {
		if !b.services.healthy(name) {
			unmet = append(unmet, &machine.MachineStatusEvent_MachineStatus_UnmetCondition{
				Name: "services", Reason: fmt.Sprintf("%s not healthy", name),
			})
		}
	}

	return unmet
}

// watchReady publishes the node's stage. A node boots until its services run for the first time.
func (b *Boot) watchReady(ctx context.Context) {
	stage, last := machine.MachineStatusEvent_BOOTING, -1

	for every(ctx, time.Second) {
		unmet := b.ready()
		if len(unmet) == 0 {
			stage = machine.MachineStatusEvent_RUNNING
		}

		if len(unmet) != last {
			b.setStage(stage, len(unmet) == 0, unmet...)
			last = len(unmet)
		}
	}
}

// every waits and tells whether to go on.
func every(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}
