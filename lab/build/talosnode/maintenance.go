package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"slices"
	"strings"

	cosi "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/state/protobuf/server"
	"github.com/siderolabs/crypto/x509"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/api/storage"
	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Maintenance is the API of a node that has no configuration yet. Whoever reaches it may configure the node, and
// nobody may ask it for anything else.
type Maintenance struct {
	machine.UnimplementedMachineServiceServer

	boot    *Boot
	applied chan config.Provider
}

var errMaintenance = status.Error(codes.Unimplemented, "API is not implemented in maintenance mode")

// maintain serves until a configuration comes, which it stores; without one, it tells how the boot ended.
func (b *Boot) maintain(ctx context.Context) (Ending, config.Provider, error) {
	certificate, err := selfSigned(Names{}.with(b.address.String(), "maintenance-service.talos.dev"))
	if err != nil {
		return shutdown, nil, err
	}

	listener, err := net.Listen("tcp", b.listenAddress(constants.ApidPort))
	if err != nil {
		return shutdown, nil, err
	}

	api := &Maintenance{boot: b, applied: make(chan config.Provider, 1)}
	service := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13})),
		grpc.MaxRecvMsgSize(constants.GRPCMaxMessageSize),
	)
	machine.RegisterMachineServiceServer(service, api)
	storage.RegisterStorageServiceServer(service, &Storage{})
	cosi.RegisterStateServer(service, server.NewState(b.state))

	b.setStage(machine.MachineStatusEvent_MAINTENANCE, true)
	log.Printf("maintenance mode: waiting for a configuration on %s", listener.Addr())

	go service.Serve(listener) //nolint:errcheck // it ends by GracefulStop

	select {
	case <-ctx.Done():
		service.Stop()

		return shutdown, nil, nil
	case ending := <-b.ending:
		service.GracefulStop()

		return ending, nil, nil
	case provider := <-api.applied:
		service.GracefulStop() // after the answer to who sent it

		return reboot, provider, b.disk.setConfig(provider)
	}
}

func selfSigned(names Names) (tls.Certificate, error) {
	authority, err := x509.NewSelfSignedCertificateAuthority(x509.ECDSA(true), x509.Organization("talos"))
	if err != nil {
		return tls.Certificate{}, err
	}

	pair, err := issue(x509.NewCertificateAndKeyFromCertificateAuthority(authority), asServer, names.options()...)
	if err != nil {
		return tls.Certificate{}, err
	}

	return tls.X509KeyPair(pair.Crt, pair.Key)
}

func (m *Maintenance) ApplyConfiguration(ctx context.Context, in *machine.ApplyConfigurationRequest) (*machine.ApplyConfigurationResponse, error) {
	switch in.Mode {
	case machine.ApplyConfigurationRequest_TRY, machine.ApplyConfigurationRequest_REBOOT, machine.ApplyConfigurationRequest_AUTO:
	default:
		return nil, status.Errorf(codes.Unimplemented, "apply configuration --mode='%s' is not supported in maintenance mode",
			strings.ReplaceAll(strings.ToLower(in.Mode.String()), "_", "-"))
	}

	provider, err := configloader.NewFromBytes(in.GetData())
	if err != nil {
		return nil, fmt.Errorf("failed to parse config: %w", err)
	}

	warnings, err := provider.Validate(Mode{})
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "configuration validation failed: %s", err)
	}

	more, err := provider.RuntimeValidate(ctx, m.boot.state, Mode{})
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "runtime configuration validation failed: %s", err)
	}

	answer := &machine.ApplyConfiguration{Warnings: slices.Concat(warnings, more)}

	if in.DryRun {
		answer.ModeDetails = "Dry run summary:\nNode is running in maintenance mode and does not have a config yet."
	} else if provider.RawV1Alpha1() != nil { // documents beside it alone leave the node where it is
		select {
		case m.applied <- provider:
		default: // another one came first
		}
	}

	return &machine.ApplyConfigurationResponse{Messages: []*machine.ApplyConfiguration{answer}}, nil
}

// These are for administrators of the platform alone, and nobody who comes without a certificate is one.

func (m *Maintenance) Version(context.Context, *emptypb.Empty) (*machine.VersionResponse, error) {
	return nil, errMaintenance
}

func (m *Maintenance) Upgrade(context.Context, *machine.UpgradeRequest) (*machine.UpgradeResponse, error) {
	return nil, errMaintenance
}

func (m *Maintenance) Reset(context.Context, *machine.ResetRequest) (*machine.ResetResponse, error) {
	return nil, errMaintenance
}

// Storage tells of the one disk.
type Storage struct {
	storage.UnimplementedStorageServiceServer
}

func (s *Storage) Disks(context.Context, *emptypb.Empty) (*storage.DisksResponse, error) {
	disk := &storage.Disk{DeviceName: "/dev/sda", Model: "QEMU HARDDISK", Size: 10 << 30, Type: storage.Disk_SSD, SystemDisk: true}

	return &storage.DisksResponse{Messages: []*storage.Disks{{Disks: []*storage.Disk{disk}}}}, nil
}
