package main

import (
	"context"
	"crypto/tls"
	stdlib "crypto/x509"
	"fmt"
	"log"
	"net"
	"strings"
	"time"

	cosi "github.com/cosi-project/runtime/api/v1alpha1"
	cosiserver "github.com/cosi-project/runtime/pkg/state/protobuf/server"
	"github.com/siderolabs/crypto/x509"
	"github.com/siderolabs/grpc-proxy/proxy"
	"github.com/siderolabs/talos/pkg/machinery/api/cluster"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/api/storage"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// serveAPI serves the node itself in memory, and in front of it, on port 50000, the router that asks for client
// certificates and forwards calls for other nodes. A worker opens the port once it has a certificate.
func (b *Boot) serveAPI(ctx context.Context, api *API) (*grpc.Server, error) {
	inside := bufconn.Listen(1 << 20)
	local := grpc.NewServer(
		grpc.UnaryInterceptor(authorizeUnary), grpc.StreamInterceptor(authorizeStream),
		grpc.MaxRecvMsgSize(constants.GRPCMaxMessageSize),
	)
	machine.RegisterMachineServiceServer(local, api)
	cluster.RegisterClusterServiceServer(local, &Health{boot: b})
	storage.RegisterStorageServiceServer(local, &Storage{})
	cosi.RegisterStateServer(local, cosiserver.NewState(b.state))

	go local.Serve(inside) //nolint:errcheck // it ends by Stop

	router, err := b.router(inside)
	if err != nil {
		return nil, err
	}

	front := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(&tls.Config{
			MinVersion: tls.VersionTLS13,
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				return b.serverTLS(), nil
			},
		})),
		grpc.ForceServerCodecV2(proxy.Codec()),
		grpc.UnknownServiceHandler(proxy.TransparentHandler(router.direct, proxy.WithStreamedDetector(streamed))),
		grpc.MaxRecvMsgSize(constants.GRPCMaxMessageSize),
	)

	context.AfterFunc(ctx, func() { local.Stop(); front.Stop() })

	if b.isControlPlane() {
		if err := b.renew(); err != nil {
			return nil, err
		}

		return front, b.listen(front)
	}

	go func() {
		b.services.set("apid", "Preparing", false, "")

		for b.renew() != nil {
			if !every(ctx, 2*time.Second) {
				return
			}
		}

		if err := b.listen(front); err != nil {
			log.Print(err)
		}
	}()

	return front, nil
}

func (b *Boot) listen(front *grpc.Server) error {
	listener, err := net.Listen("tcp", b.listenAddress(constants.ApidPort))
	if err != nil {
		return err
	}

	b.services.set("apid", "Running", true, "Health check successful")

	go front.Serve(listener) //nolint:errcheck // it ends by Stop

	return nil
}

// names are what the node's own API is called.
func (b *Boot) names() Names {
	names := Names{}.with(b.address.String(), b.hostname())
	names = names.with(b.config().Machine().Security().CertSANs()...)

	for _, shared := range b.sharedAddresses() {
		names = names.with(shared.String())
	}

	return names
}

// renew makes the certificates of the node's API: a control plane node has the authority's key in its
// configuration, a worker asks a control plane node.
func (b *Boot) renew() error {
	authority := b.config().Machine().Security().IssuingCA()

	var (
		server, client *x509.PEMEncodedCertificateAndKey
		err            error
	)

	if b.isControlPlane() {
		if server, err = issue(authority, asServer, b.names().options()...); err != nil {
			return err
		}

		// With the role of the impersonator, the other node takes over the roles of who asks.
		client, err = issue(authority, asClient, x509.Organization(string(role.Impersonator)))
		if err != nil {
			return err
		}
	} else if server, err = b.requestCertificate(); err != nil {
		return err
	}

	b.mu.Lock()
	defer b.mu.Unlock()

	b.server, b.client = server, client

	return nil
}

// authorities are those whose certificates the node accepts.
func (b *Boot) authorities() *stdlib.CertPool {
	pool, security := stdlib.NewCertPool(), b.config().Machine().Security()
	if issuing := security.IssuingCA(); issuing != nil {
		pool.AppendCertsFromPEM(issuing.Crt)
	}

	for _, accepted := range security.AcceptedCAs() {
		pool.AppendCertsFromPEM(accepted.Crt)
	}

	return pool
}

func (b *Boot) serverTLS() *tls.Config {
	b.mu.Lock()
	server := b.server
	b.mu.Unlock()

	pair, err := tls.X509KeyPair(server.Crt, relabelled(server.Key))
	if err != nil {
		log.Print(err)
	}

	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    b.authorities(),
		NextProtos:   []string{"h2"},
	}
}

// clientTLS is how a control plane node meets another node; nil on a worker.
func (b *Boot) clientTLS() (*tls.Config, error) {
	b.mu.Lock()
	client := b.client
	b.mu.Unlock()

	if client == nil {
		return nil, nil
	}

	pair, err := tls.X509KeyPair(client.Crt, relabelled(client.Key))

	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: b.authorities()}, err
}

// relabelled is a key under the name that Go's own library reads.
func relabelled(key []byte) []byte {
	return []byte(strings.ReplaceAll(string(key), "ED25519 PRIVATE KEY", "PRIVATE KEY"))
}

var (
	readers   = role.MakeSet(role.Admin, role.Operator, role.Reader)
	operators = role.MakeSet(role.Admin, role.Operator)
	rights    = map[string]role.Set{
		"/cluster.ClusterService/HealthCheck":    readers,
		"/cosi.resource.State/Get":               readers,
		"/cosi.resource.State/List":              readers,
		"/cosi.resource.State/Watch":             readers,
		"/machine.MachineService/EtcdMemberList": readers,
		"/machine.MachineService/Events":         readers,
		"/machine.MachineService/Logs":           readers,
		"/machine.MachineService/ServiceList":    readers,
		"/machine.MachineService/Version":        readers,
		"/storage.StorageService/Disks":          readers,
		"/machine.MachineService/Reboot":         operators,
		"/machine.MachineService/Shutdown":       operators,
		"/machine.MachineService/EtcdSnapshot":   operators,
		"/machine.MachineService/EtcdStatus":     readers,
	}
)

// authorize lets a call pass by the roles that the router found in the client's certificate.
func authorize(ctx context.Context, method string) error {
	allowed, known := rights[method]
	if !known {
		allowed = role.MakeSet(role.Admin)
	}

	given, _ := metadata.FromIncomingContext(ctx)

	roles, _ := role.Parse(given.Get(constants.APIAuthzRoleMetadataKey))
	if !roles.IncludesAny(allowed) {
		return status.Error(codes.PermissionDenied, "not authorized")
	}

	return nil
}

func authorizeUnary(ctx context.Context, in any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := authorize(ctx, info.FullMethod); err != nil {
		return nil, err
	}

	return handler(ctx, in)
}

func authorizeStream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := authorize(stream.Context(), info.FullMethod); err != nil {
		return err
	}

	return handler(service, stream)
}

func (b *Boot) url(port int) string {
	return fmt.Sprintf("https://%s:%d", bracketed(b.address.String()), port)
}

// administrator is how the node itself asks other nodes, with all rights.
func (b *Boot) administrator() (*tls.Config, error) {
	certificate, err := issue(b.config().Machine().Security().IssuingCA(), asClient, x509.Organization(string(role.Admin)))
	if err != nil {
		return nil, err
	}

	pair, err := tls.X509KeyPair(certificate.Crt, relabelled(certificate.Key))

	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: b.authorities()}, err
}
