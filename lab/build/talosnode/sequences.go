package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"regexp"
	"strings"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
)

// installer matches a reference to an installer image with a release as its tag: ghcr.io/siderolabs/installer:v1.12.1,
// factory.talos.dev/nocloud-installer/SCHEMATIC:v1.12.1.
var installer = regexp.MustCompile(`^[a-z0-9.-]+(:\d+)?/([a-z0-9._-]+/)*[a-z0-9._-]*installer[a-z0-9._-]*(/[0-9a-f]{64})?:(v\d+\.\d+\.\d+(-[a-z]+\.\d+)?)$`)

// task is a step of a sequence under Talos' name for it.
type task struct {
	phase, name string
	do          func(context.Context) error
	optional    bool // a failure is only logged
}

// sequence runs tasks and tells of them as Talos does; then the boot ends. After a failed one, the node reboots.
func (b *Boot) sequence(actor, name string, tasks []task, how Ending) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()

	tell := func(action machine.SequenceEvent_Action, err error) {
		event := &machine.SequenceEvent{Sequence: name, Action: action}
		if err != nil {
			event.Error = &common.Error{Code: common.Code_FATAL, Message: err.Error()}
		}

		b.events.publish(actor, event)
	}

	tell(machine.SequenceEvent_START, nil)

	stop := task{phase: "stopEverything", name: "stopAllServices", do: func(context.Context) error { return nil }}
	for _, step := range append(tasks, stop) {
		b.events.publish(actor, &machine.PhaseEvent{Phase: step.phase, Action: machine.PhaseEvent_START})
		b.events.publish(actor, &machine.TaskEvent{Task: step.name, Action: machine.TaskEvent_START})

		err := step.do(ctx)
		if err != nil {
			log.Printf("%s: %s: %v", name, step.name, err)
		}

		if err != nil && !step.optional {
			tell(machine.SequenceEvent_STOP, fmt.Errorf("error running phase %s: task %s: failed, %w", step.phase, step.name, err))
			time.Sleep(farewell)
			b.end(reboot)

			return
		}

		b.events.publish(actor, &machine.TaskEvent{Task: step.name, Action: machine.TaskEvent_STOP})
		b.events.publish(actor, &machine.PhaseEvent{Phase: step.phase, Action: machine.PhaseEvent_STOP})
	}

	tell(machine.SequenceEvent_STOP, nil)
	time.Sleep(farewell)
	b.end(how)
}

// farewell lets those who follow the events read the last of them.
const farewell = 500 * time.Millisecond

func (a *API) Reboot(context.Context, *machine.RebootRequest) (*machine.RebootResponse, error) {
	actor := newID()
	go a.boot.sequence(actor, "reboot", nil, reboot)

	return &machine.RebootResponse{Messages: []*machine.Reboot{{ActorId: actor}}}, nil
}

func (a *API) Shutdown(_ context.Context, in *machine.ShutdownRequest) (*machine.ShutdownResponse, error) {
	actor, tasks := newID(), []task{}
	if !in.Force {
		tasks = append(tasks, task{"drain", "cordonAndDrainNode", a.boot.cordon, true})
	}

	go a.boot.sequence(actor, "shutdown", tasks, shutdown)

	return &machine.ShutdownResponse{Messages: []*machine.Shutdown{{ActorId: actor}}}, nil
}

func (a *API) Upgrade(ctx context.Context, in *machine.UpgradeRequest) (*machine.UpgradeResponse, error) {
	found := installer.FindStringSubmatch(in.GetImage())
	if found == nil {
		return nil, fmt.Errorf("error validating installer image %q: failed to pull image %q: not found", in.GetImage(), in.GetImage())
	}

	if a.boot.isControlPlane() && !in.GetForce() {
		if err := a.boot.etcd.validateForUpgrade(ctx); err != nil {
			return nil, fmt.Errorf("error validating etcd for upgrade: %w", err)
		}
	}

	actor := newID()
	go a.boot.sequence(actor, "upgrade", []task{
		{"drain", "cordonAndDrainNode", a.boot.cordon, true},
		{"upgrade", "upgrade", func(context.Context) error {
			meta := a.boot.disk.meta()
			meta.Version = found[4]

			return a.boot.disk.setMeta(meta)
		}, false},
	}, reboot)

	return &machine.UpgradeResponse{Messages: []*machine.Upgrade{{Ack: "Upgrade request received", ActorId: actor}}}, nil
}

func (a *API) Reset(_ context.Context, in *machine.ResetRequest) (*machine.ResetResponse, error) {
	var labels []string

	for _, part := range in.GetSystemPartitionsToWipe() {
		if part.Wipe {
			labels = append(labels, part.Label)
		}
	}

	switch {
	case len(in.GetUserDisksToWipe()) > 0 && in.Mode == machine.ResetRequest_SYSTEM_DISK:
		return nil, errors.New("reset failed: invalid input, wipe mode SYSTEM_DISK doesn't support UserDisksToWipe parameter")
	case len(in.GetUserDisksToWipe()) > 0:
		return nil, fmt.Errorf("reset user disk failed: device %s wasn't found", in.GetUserDisksToWipe()[0])
	case len(labels) > 0 && in.Mode == machine.ResetRequest_USER_DISKS:
		return nil, errors.New("reset failed: invalid input, wipe mode USER_DISKS doesn't support SystemPartitionsToWipe parameter")
	}

	if unknown := unknownLabel(labels); unknown != "" {
		return nil, fmt.Errorf("failed to get volume status with label %q: resource VolumeStatuses.block.talos.dev(runtime/%s@undefined) doesn't exist", unknown, unknown)
	}

	var tasks []task

	if in.Graceful {
		tasks = append(tasks, task{"drain", "cordonAndDrainNode", a.boot.cordon, true})

		if a.boot.isControlPlane() {
			tasks = append(tasks, task{"leave", "leaveEtcd", a.boot.etcd.leave, false})
		}
	}

	actor, how := newID(), shutdown
	if in.Reboot {
		how = reboot
	}

	if in.Mode != machine.ResetRequest_USER_DISKS {
		// The disk is wiped when nothing writes to it any more.
		tasks = append(tasks, task{"reset", "resetSystemDisk", func(context.Context) error {
			a.boot.wipe = &labels

			return nil
		}, false})
	}

	go a.boot.sequence(actor, "reset", tasks, how)

	return &machine.ResetResponse{Messages: []*machine.Reset{{ActorId: actor}}}, nil
}

func unknownLabel(labels []string) string {
	for _, label := range labels {
		if !strings.Contains(" STATE EPHEMERAL META ", " "+label+" ") {
			return label
		}
	}

	return ""
}
