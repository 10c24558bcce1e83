package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/cluster"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Health is what `talosctl health` asks for.
type Health struct {
	cluster.UnimplementedClusterServiceServer

	boot *Boot
}

// Members are the addresses of the nodes that are to be checked.
type Members struct {
	controlPlanes, workers []string
}

func (m Members) all() []string { return slices.Concat(m.controlPlanes, m.workers) }

// check is one condition, in Talos' words.
type check struct {
	name string
	fail func(context.Context, Members) error
}

// HealthCheck waits for one condition after the other, and tells of each and of why it is not met.
func (h *Health) HealthCheck(in *cluster.HealthCheckRequest, stream cluster.ClusterService_HealthCheckServer) error {
	if !h.boot.isControlPlane() {
		return status.Error(codes.PermissionDenied, "no request forwarding")
	}

	ctx, cancel := context.WithTimeout(stream.Context(), in.WaitTimeout.AsDuration())
	defer cancel()

	members := Members{in.GetClusterInfo().GetControlPlaneNodes(), in.GetClusterInfo().GetWorkerNodes()}
	if len(members.all()) == 0 {
		var err error
		if members, err = h.discover(ctx); err != nil {
			return err
		}
	}

	say := func(format string, arguments ...any) error {
		return stream.Send(&cluster.HealthCheckProgress{Message: fmt.Sprintf(format, arguments...)})
	}

	if err := say("discovered nodes: %q", members.all()); err != nil {
		return err
	}

	for _, item := range h.checks() {
		if err := say("waiting for %s: ...", item.name); err != nil {
			return err
		}

		for last := ""; ; {
			err := item.fail(ctx, members)
			if err == nil {
				break
			}

			if text := err.Error(); text != last && ctx.Err() == nil {
				last = text
				if err := say("waiting for %s: %s", item.name, text); err != nil {
					return err
				}
			}

			if !every(ctx, time.Second) {
				return status.FromContextError(ctx.Err()).Err()
			}
		}

		if err := say("waiting for %s: OK", item.name); err != nil {
			return err
		}
	}

	return nil
}

// checks are those of Talos that make sense without pods; kube-proxy, CoreDNS and the static pods are not there.
func (h *Health) checks() []check {
	return []check{
		{"etcd to be healthy", h.service("etcd", true)},
		{"etcd members to be consistent across nodes", h.sameMembers},
		{"etcd members to be control plane nodes", h.membersAreNodes},
		{"apid to be ready", h.versions},
		{"kubelet to be healthy", h.service("kubelet", true)},
		{"all nodes to finish boot sequence", h.service("machined", false)},
		{"all k8s nodes to report", h.nodesReport},
		{"all control plane components to be ready", h.apiServers},
		{"all k8s nodes to report ready", h.nodes(func(node *corev1.Node) bool { return !ready(node) }, "not ready")},
		{"all k8s nodes to report schedulable", h.nodes(func(node *corev1.Node) bool { return node.Spec.Unschedulable }, "unschedulable")},
	}
}

func (h *Health) discover(ctx context.Context) (Members, error) {
	client, err := h.boot.admin(h.boot.own())
	if err != nil {
		return Members{}, err
	}

	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return Members{}, err
	}

	var found Members

	for _, node := range nodes.Items {
		if _, controls := node.Labels["node-role.kubernetes.io/control-plane"]; controls {
			found.controlPlanes = append(found.controlPlanes, internal(&node))
		} else {
			found.workers = append(found.workers, internal(&node))
		}
	}

	return found, nil
}

func internal(node *corev1.Node) string {
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			return address.Address
		}
	}

	return ""
}

// ask talks to the API of another node as a control plane node may.
func (h *Health) ask(ctx context.Context, node string, do func(context.Context, *client.Client) error) error {
	config, err := h.boot.administrator()
	if err != nil {
		return err
	}

	found, err := client.New(ctx, client.WithTLSConfig(config), client.WithEndpoints(node))
	if err != nil {
		return err
	}
	defer found.Close() //nolint:errcheck

	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()

	if err := do(ctx, found); err != nil {
		return fmt.Errorf("%s: %w", node, err)
	}

	return nil
}

func (h *Health) service(name string, controlPlanesOnly bool) func(context.Context, Members) error {
	return func(ctx context.Context, members Members) error {
		nodes := members.all()
		if controlPlanesOnly {
			nodes = members.controlPlanes
		}

		for _, node := range nodes {
			err := h.ask(ctx, node, func(ctx context.Context, client *client.Client) error {
				infos, err := client.ServiceInfo(ctx, name)
				if err != nil {
					return err
				}

				if len(infos) != 1 {
					return fmt.Errorf("service %q not found", name)
				}

				info := infos[0].Service
				if info.State != "Running" || !info.Health.Healthy {
					return fmt.Errorf("service %q not healthy: state %s, %s", name, info.State, info.Health.LastMessage)
				}

				return nil
			})
			if err != nil {
				return err
			}
		}

		return nil
	}
}

// memberLists are the members of etcd as each control plane node sees them: each a list of names and addresses.
func (h *Health) memberLists(ctx context.Context, members Members) (map[string][]string, []string, error) {
	lists, hosts := map[string][]string{}, []string{}

	for _, node := range members.controlPlanes {
		err := h.ask(ctx, node, func(ctx context.Context, client *client.Client) error {
			answer, err := client.EtcdMemberList(ctx, nil)
			if err != nil {
				return err
			}

			for _, message := range answer.Messages {
				for _, member := range message.Members {
					lists[node] = append(lists[node], fmt.Sprintf("%s %v %v", member.Hostname, member.PeerUrls, member.IsLearner))
					for _, url := range member.ClientUrls {
						hosts = append(hosts, strings.TrimSuffix(strings.TrimPrefix(url, "https://"), ":2379"))
					}
				}
			}

			slices.Sort(lists[node])

			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}

	slices.Sort(hosts)

	return lists, slices.Compact(hosts), nil
}

func (h *Health) sameMembers(ctx context.Context, members Members) error {
	lists, _, err := h.memberLists(ctx, members)
	if err != nil {
		return err
	}

	for node, list := range lists {
		if first := lists[members.controlPlanes[0]]; !slices.Equal(list, first) {
			return fmt.Errorf("%s: etcd members are %v, on %s %v", node, list, members.controlPlanes[0], first)
		}

		for _, member := range list {
			if strings.HasSuffix(member, "true") {
				return fmt.Errorf("etcd member is still a learner: %s", member)
			}
		}
	}

	return nil
}

func (h *Health) membersAreNodes(ctx context.Context, members Members) error {
	_, hosts, err := h.memberLists(ctx, members)
	if err != nil {
		return err
	}

	nodes := slices.Sorted(slices.Values(members.controlPlanes))
	if !slices.Equal(hosts, nodes) {
		return fmt.Errorf("etcd member ips %q are not subset of control plane node ips %q", hosts, nodes)
	}

	return nil
}

func (h *Health) versions(ctx context.Context, members Members) error {
	for _, node := range members.all() {
		err := h.ask(ctx, node, func(ctx context.Context, client *client.Client) error {
			_, err := client.Version(ctx)

			return err
		})
		if err != nil {
			return err
		}
	}

	return nil
}

func (h *Health) list(ctx context.Context) ([]corev1.Node, error) {
	client, err := h.boot.admin(h.boot.endpoint())
	if err != nil {
		return nil, err
	}

	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}

	return nodes.Items, nil
}

func (h *Health) nodesReport(ctx context.Context, members Members) error {
	nodes, err := h.list(ctx)
	if err != nil {
		return err
	}

	var reported []string

	for _, node := range nodes {
		reported = append(reported, internal(&node))
	}

	slices.Sort(reported)

	if expected := slices.Sorted(slices.Values(members.all())); !slices.Equal(expected, reported) {
		return fmt.Errorf("can't find expected node with IPs %q among the reported %q", expected, reported)
	}

	return nil
}

func (h *Health) nodes(bad func(*corev1.Node) bool, word string) func(context.Context, Members) error {
	return func(ctx context.Context, _ Members) error {
		nodes, err := h.list(ctx)
		if err != nil {
			return err
		}

		var found []string

		for _, node := range nodes {
			if bad(&node) {
				found = append(found, node.Name)
			}
		}

		if found != nil {
			return fmt.Errorf("some nodes are %s: %v", word, found)
		}

		return nil
	}
}

func (h *Health) apiServers(ctx context.Context, members Members) error {
	for _, node := range members.controlPlanes {
		client, err := h.boot.admin(fmt.Sprintf("https://%s:%d", bracketed(node), h.boot.config().Cluster().LocalAPIServerPort()))
		if err != nil {
			return err
		}

		if err := readyz(ctx, client); err != nil {
			return fmt.Errorf("%s: kube-apiserver is not ready: %w", node, err)
		}
	}

	return nil
}

func readyz(ctx context.Context, client *kubernetes.Clientset) error {
	_, err := client.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)

	return err
}
