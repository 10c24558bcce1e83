package main

import (
	"context"
	"log"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/impl/inmem"
	"github.com/cosi-project/runtime/pkg/state/impl/namespaced"
	"github.com/cosi-project/runtime/pkg/state/registry"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	machineconfig "github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
)

// makeResources makes the store that `talosctl get` reads: Talos' own kind, in which few resources are.
func (b *Boot) makeResources(ctx context.Context) error {
	b.state = state.WrapCore(namespaced.NewState(inmem.Build))

	namespaces := registry.NewNamespaceRegistry(b.state)
	if err := namespaces.RegisterDefault(ctx); err != nil {
		return err
	}

	for name, description := range map[string]string{
		config.NamespaceName: "Talos node configuration.", runtime.NamespaceName: "Talos runtime resources.",
	} {
		if err := namespaces.Register(ctx, name, description); err != nil {
			return err
		}
	}

	resources := registry.NewResourceRegistry(b.state)
	if err := resources.RegisterDefault(ctx); err != nil {
		return err
	}

	for _, kind := range []meta.ResourceWithRD{&config.MachineConfig{}, &config.MachineType{}, &runtime.MachineStatus{}} {
		if err := resources.Register(ctx, kind); err != nil {
			return err
		}
	}

	return b.state.Create(ctx, runtime.NewMachineStatus())
}

func (b *Boot) publishConfig(provider machineconfig.Provider) {
	ctx := context.Background()

	for _, item := range []*config.MachineConfig{config.NewMachineConfig(provider), config.NewMachineConfigWithID(provider, config.PersistentID)} {
		old, err := b.state.Get(ctx, item.Metadata())
		if err == nil {
			item.Metadata().SetVersion(old.Metadata().Version())
			err = b.state.Update(ctx, item)
		} else if state.IsNotFoundError(err) {
			err = b.state.Create(ctx, item)
		}

		if err != nil {
			log.Print(err)
		}
	}

	kind := config.NewMachineType()
	kind.SetMachineType(provider.Machine().Type())

	if err := b.state.Create(ctx, kind); err != nil && !state.IsConflictError(err) {
		log.Print(err)
	}
}

var stages = map[machine.MachineStatusEvent_MachineStage]runtime.MachineStage{
	machine.MachineStatusEvent_BOOTING:     runtime.MachineStageBooting,
	machine.MachineStatusEvent_MAINTENANCE: runtime.MachineStageMaintenance,
	machine.MachineStatusEvent_RUNNING:     runtime.MachineStageRunning,
}

// setStage publishes where in its life the node is, as a resource and as an event.
func (b *Boot) setStage(stage machine.MachineStatusEvent_MachineStage, ready bool, unmet ...*machine.MachineStatusEvent_MachineStatus_UnmetCondition) {
	b.events.publish("", &machine.MachineStatusEvent{
		Stage: stage, Status: &machine.MachineStatusEvent_MachineStatus{Ready: ready, UnmetConditions: unmet},
	})

	ctx := context.Background()

	_, err := b.state.UpdateWithConflicts(ctx, runtime.NewMachineStatus().Metadata(), func(found resource.Resource) error {
		spec := found.(*runtime.MachineStatus).TypedSpec()
		spec.Stage, spec.Status.Ready, spec.Status.UnmetConditions = stages[stage], ready, nil

		for _, condition := range unmet {
			spec.Status.UnmetConditions = append(spec.Status.UnmetConditions, runtime.UnmetCondition{Name: condition.Name, Reason: condition.Reason})
		}

		return nil
	})
	if err != nil {
		log.Print(err)
	}
}
