package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/siderolabs/grpc-proxy/proxy"
	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Router sends a call to this node or, on a control plane node, to those that talosctl's --nodes names.
type Router struct {
	boot  *Boot
	local *backend

	mu     sync.Mutex
	others map[string]*backend
}

func (b *Boot) router(inside *bufconn.Listener) (*Router, error) {
	connection, err := grpc.NewClient("passthrough:///local",
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return inside.Dial() }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(proxy.Codec()), grpc.MaxCallRecvMsgSize(constants.GRPCMaxMessageSize)),
	)

	return &Router{boot: b, local: &backend{connection: connection, local: true}, others: map[string]*backend{}}, err
}

func (r *Router) direct(ctx context.Context, method string) (proxy.Mode, []proxy.Backend, error) {
	given, _ := metadata.FromIncomingContext(ctx)
	nodes, node := given.Get("nodes"), given.Get("node")

	if len(given.Get("proxyfrom")) > 0 || len(nodes)+len(node) == 0 {
		return proxy.One2One, []proxy.Backend{r.local}, nil
	}

	// A worker has no certificate to ask others with.
	if !r.boot.isControlPlane() {
		if asked := append(nodes, node...); len(asked) == 1 && r.isLocal(asked[0]) {
			return proxy.One2One, []proxy.Backend{r.local}, nil
		}

		return proxy.One2One, nil, status.Error(codes.PermissionDenied, "no request forwarding")
	}

	mode := proxy.One2Many
	if len(nodes) == 0 {
		nodes, mode = node, proxy.One2One
	} else if strings.HasPrefix(method, "/cosi.") {
		return proxy.One2One, nil, status.Error(codes.InvalidArgument, "one-2-many proxying is not supported for COSI methods")
	}

	var backends []proxy.Backend

	for _, target := range nodes {
		found, err := r.other(target)
		if err != nil {
			return proxy.One2One, nil, status.Error(codes.Internal, err.Error())
		}

		backends = append(backends, found)
	}

	return mode, backends, nil
}

func (r *Router) isLocal(target string) bool {
	address, err := netip.ParseAddr(target)

	return err == nil && address == r.boot.address || target == r.boot.hostname()
}

func (r *Router) other(target string) (*backend, error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	if found := r.others[target]; found != nil {
		return found, nil
	}

	config, err := r.boot.clientTLS()
	if err != nil || config == nil {
		return nil, errors.Join(err, errors.New("no client certificate"))
	}

	connection, err := grpc.NewClient(fmt.Sprintf("%s:%d", bracketed(target), constants.ApidPort),
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(proxy.Codec()), grpc.MaxCallRecvMsgSize(constants.GRPCMaxMessageSize)),
	)
	if err != nil {
		return nil, err
	}

	r.others[target] = &backend{target: target, connection: connection}

	return r.others[target], nil
}

// streamed are the calls whose answers are streams, and so are not put together when several nodes answer.
func streamed(method string) bool {
	return slices.Contains([]string{
		"/machine.MachineService/Events", "/machine.MachineService/Kubeconfig", "/machine.MachineService/Logs",
		"/machine.MachineService/Read", "/machine.MachineService/Dmesg", "/machine.MachineService/EtcdSnapshot",
		"/cluster.ClusterService/HealthCheck",
	}, method)
}

// backend is one node that answers; talosctl learns from its answers which one it was.
type backend struct {
	target     string
	connection *grpc.ClientConn
	local      bool
}

func (b *backend) String() string { return b.target }

func (b *backend) GetConnection(ctx context.Context, _ string) (context.Context, *grpc.ClientConn, error) {
	given, _ := metadata.FromIncomingContext(ctx)
	given = given.Copy()
	given.Set(constants.APIAuthzRoleMetadataKey, roles(ctx, given).Strings()...)

	if !b.local {
		given.Set("proxyfrom", append(given.Get(":authority"), "unknown")[0])
	}

	for _, name := range []string{":authority", "nodes", "node"} {
		delete(given, name)
	}

	return metadata.NewOutgoingContext(ctx, given), b.connection, nil
}

// roles are those of the client's certificate, or those that another node's router passes on.
func roles(ctx context.Context, given metadata.MD) role.Set {
	found, ok := peer.FromContext(ctx)
	if !ok {
		return role.Zero
	}

	info, ok := found.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return role.Zero
	}

	own, _ := role.Parse(info.State.PeerCertificates[0].Subject.Organization)
	if own.Includes(role.Impersonator) {
		own, _ = role.Parse(given.Get(constants.APIAuthzRoleMetadataKey))
	}

	return own
}

// AppendInfo adds the node's name to an answer: in a stream to the message itself, else to the first of its field
// `messages`, which is where every answer of the API has its content.
func (b *backend) AppendInfo(streaming bool, answer []byte) ([]byte, error) {
	if b.local {
		return answer, nil
	}

	note, err := proto.Marshal(&common.Empty{Metadata: &common.Metadata{Hostname: b.target}})
	if err != nil || streaming {
		return append(answer, note...), err
	}

	number, kind, length := protowire.ConsumeTag(answer)
	if length < 0 || number != 1 || kind != protowire.BytesType {
		return nil, fmt.Errorf("an answer of %s does not begin with a message", b.target)
	}

	first, size := protowire.ConsumeBytes(answer[length:])
	if size < 0 {
		return nil, protowire.ParseError(size)
	}

	changed := protowire.AppendTag(nil, 1, protowire.BytesType)
	changed = protowire.AppendBytes(changed, slices.Concat(first, note))

	return append(changed, answer[length+size:]...), nil
}

// BuildError makes an answer of an error, so that the others' answers arrive all the same.
func (b *backend) BuildError(streaming bool, failure error) ([]byte, error) {
	if b.local {
		return nil, nil
	}

	told := &common.Empty{Metadata: &common.Metadata{
		Hostname: b.target, Error: failure.Error(), Status: status.Convert(failure).Proto(),
	}}
	if streaming {
		return proto.Marshal(told)
	}

	return proto.Marshal(&common.EmptyResponse{Messages: []*common.Empty{told}})
}
