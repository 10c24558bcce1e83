package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/version"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// API is the machine API of a node that has a configuration.
type API struct {
	machine.UnimplementedMachineServiceServer

	boot *Boot

	mu    sync.Mutex
	trial *time.Timer
}

// criDelay is the time after a boot until a container runtime is up, before which nothing can be bootstrapped.
const criDelay = 3 * time.Second

func (a *API) controlPlane(name string) error {
	if a.boot.isControlPlane() {
		return nil
	}

	return status.Errorf(codes.Unimplemented, "%s is only available on control plane nodes", name)
}

func (a *API) Version(context.Context, *emptypb.Empty) (*machine.VersionResponse, error) {
	info := version.NewVersion()
	info.Tag, info.GoVersion = a.boot.disk.meta().Version, runtime.Version()

	return &machine.VersionResponse{Messages: []*machine.Version{{
		Version:  info,
		Platform: &machine.PlatformInfo{Name: "nocloud", Mode: Mode{}.String()},
		Features: &machine.FeaturesInfo{Rbac: true},
	}}}, nil
}

func (a *API) Bootstrap(_ context.Context, in *machine.BootstrapRequest) (*machine.BootstrapResponse, error) {
	switch {
	case !a.boot.services.healthy("cri"):
		return nil, status.Error(codes.FailedPrecondition, "bootstrap is not available yet")
	case !a.boot.isControlPlane():
		return nil, status.Error(codes.FailedPrecondition, "bootstrap can only be performed on a control plane node")
	case a.boot.etcd.hasData():
		return nil, status.Error(codes.AlreadyExists, "etcd data directory is not empty")
	}

	if err := a.boot.etcd.bootstrap(in.RecoverEtcd, in.RecoverSkipHashCheck); err != nil {
		return nil, err
	}

	return &machine.BootstrapResponse{Messages: []*machine.Bootstrap{{}}}, nil
}

func (a *API) Kubeconfig(_ *emptypb.Empty, stream machine.MachineService_KubeconfigServer) error {
	if err := a.controlPlane("kubeconfig"); err != nil {
		return err
	}

	text, err := adminKubeconfig(a.boot.config().Cluster(), a.boot.config().Cluster().Endpoint().String())
	if err != nil {
		return err
	}

	var packed bytes.Buffer

	zipped := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zipped)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: "kubeconfig", Size: int64(len(text)), ModTime: time.Now(), Mode: 0o600}

	if err := archive.WriteHeader(header); err != nil {
		return err
	}

	if _, err := archive.Write(text); err != nil {
		return err
	}

	if err := zipped.Close(); err != nil {
		return err
	}

	return stream.Send(&common.Data{Bytes: packed.Bytes()})
}

func (a *API) ServiceList(context.Context, *emptypb.Empty) (*machine.ServiceListResponse, error) {
	return &machine.ServiceListResponse{Messages: []*machine.ServiceList{{Services: a.boot.services.list()}}}, nil
}

func (a *API) Events(in *machine.EventsRequest, stream machine.MachineService_EventsServer) error {
	if err := stream.Send(&machine.Event{ActorId: in.WithActorId}); err != nil { // says that the watch began
		return err
	}

	events, leave := a.boot.events.follow(int(in.TailEvents))
	defer leave()

	for {
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case event := <-events:
			if in.WithActorId != "" && event.ActorId != in.WithActorId {
				continue
			}

			if err := stream.Send(event); err != nil {
				return err
			}
		}
	}
}

// Read gives the boot's identity, by which clients see that a node was started again, and no other file.
func (a *API) Read(in *machine.ReadRequest, stream machine.MachineService_ReadServer) error {
	if in.Path != "/proc/sys/kernel/random/boot_id" {
		return status.Errorf(codes.Unimplemented, "this stand-in of Talos has no file %s", in.Path)
	}

	return stream.Send(&common.Data{Bytes: []byte(a.boot.id + "\n")})
}

func (a *API) Logs(in *machine.LogsRequest, stream machine.MachineService_LogsServer) error {
	file, err := os.Open(a.boot.disk.logFile(in.Id))
	if err != nil {
		return fmt.Errorf("log %q was not registered", in.Id)
	}
	defer file.Close()

	piece := make([]byte, 64<<10)

	for {
		count, err := file.Read(piece)
		if count > 0 {
			if err := stream.Send(&common.Data{Bytes: bytes.Clone(piece[:count])}); err != nil {
				return err
			}
		}

		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
