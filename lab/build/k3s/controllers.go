package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	etcdRole         = "node-role.kubernetes.io/etcd"
	controlPlaneRole = "node-role.kubernetes.io/control-plane"
	memberAnnotation = "etcd.k3s.cattle.io/node-name"
	addressNote      = "etcd.k3s.cattle.io/node-address"
	etcdFinalizer    = "wrangler.cattle.io/managed-etcd-controller"
	nodeFinalizer    = "wrangler.cattle.io/node"
	voterCondition   = corev1.NodeConditionType("EtcdIsVoter")
)

// startFull starts what a cluster of several machines has more than a single server: its own node, the controller
// manager, the scheduler, and K3s' own controllers.
func (s *server) startFull(ctx context.Context) error {
	config := &rest.Config{Host: "https://127.0.0.1:" + apiserverPort, TLSClientConfig: rest.TLSClientConfig{
		CAFile: s.tls.path("server-ca.crt"), CertFile: s.tls.path("client-admin.crt"), KeyFile: s.tls.path("client-admin.key"),
	}, QPS: 100, Burst: 200}
	var err error
	if s.kube, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if s.forgetPassword {
		err := s.kube.CoreV1().Secrets(metav1.NamespaceSystem).Delete(ctx, passwordSecret(s.name), metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	node, err := newNode(s.v, s.own.version, s.data, access{
		url: "https://127.0.0.1:" + s.port, user: "node", password: s.agentPassword, ca: s.caData(),
	})
	if err != nil {
		return err
	}
	if err := node.join(ctx); err != nil {
		return err
	}
	if err := s.labelNode(ctx); err != nil {
		return err
	}
	go node.run(ctx)
	if err := s.startController(ctx, "kube-controller-manager", "client-controller",
		"--use-service-account-credentials=true", "--service-account-private-key-file="+s.tls.path("service.key"),
		"--root-ca-file="+s.tls.path("server-ca.crt"), "--bind-address=127.0.0.1", "--allocate-node-cidrs=true",
		"--cluster-cidr="+s.cidr("cluster-cidr", "10.42.0.0/16"), "--service-cluster-ip-range="+s.serviceCIDR(),
		"--cluster-signing-cert-file="+s.tls.path("client-ca.crt"), "--cluster-signing-key-file="+s.tls.path("client-ca.key"),
		// The lab need not wait 50 s until a machine that stopped is seen as such.
		"--node-monitor-period=2s", "--node-monitor-grace-period=20s"); err != nil {
		return err
	}
	if err := s.startController(ctx, "kube-scheduler", "client-scheduler", "--bind-address=127.0.0.1"); err != nil {
		return err
	}
	go s.control(ctx)
	go s.serveAddons(ctx)
	if s.managed {
		return s.scheduleSnapshots(ctx)
	}
	return nil
}

func (s *server) caData() []byte {
	data, _ := os.ReadFile(s.tls.path("server-ca.crt"))
	return data
}

// startController runs one and starts it again: it ends by itself when it is no longer the one that is in charge.
func (s *server) startController(ctx context.Context, name, user string, args ...string) error {
	program, err := s.own.part(s.data, name)
	if err != nil {
		return err
	}
	text, err := s.kubeconfig(user, apiserverPort)
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, "cred", name+".kubeconfig")
	if err := replace(path, text, 0o600); err != nil {
		return err
	}
	args = append(args, "--kubeconfig="+path, "--leader-elect=true", "--v=0")
	for _, argument := range s.v.list(name + "-arg") {
		args = append(args, "--"+argument)
	}
	logrus.Infof("Running %s", name)
	one, err := start(program, args, "GOMEMLIMIT=150MiB")
	if err != nil {
		return err
	}
	at := len(s.others)
	s.others = append(s.others, one)
	go func() {
		for {
			<-s.others[at].done
			if pause(ctx, 2*time.Second); ctx.Err() != nil {
				return
			}
			logrus.Warnf("%s exited, starting it again", name)
			if again, err := start(program, args, "GOMEMLIMIT=150MiB"); err == nil {
				s.others[at] = again
			}
		}
	}()
	return nil
}

// labelNode makes this server's node a control plane.
func (s *server) labelNode(ctx context.Context) error {
	labels := map[string]string{controlPlaneRole: "true"}
	notes := map[string]string{}
	if s.managed {
		labels[etcdRole] = "true"
		notes[memberAnnotation], notes[addressNote] = s.member, s.address
	}
	return s.patchNode(ctx, s.name, map[string]any{"metadata": map[string]any{"labels": labels, "annotations": notes}})
}

func (s *server) patchNode(ctx context.Context, name string, change map[string]any, parts ...string) error {
	data, err := json.Marshal(change)
	if err != nil {
		return err
	}
	_, err = s.kube.CoreV1().Nodes().Patch(ctx, name, types.StrategicMergePatchType, data, metav1.PatchOptions{}, parts...)
	return err
}

// control does the work of K3s' own controllers. Of all servers the one does it whose etcd leads.
func (s *server) control(ctx context.Context) {
	for ; ctx.Err() == nil; pause(ctx, time.Second) {
		if err := s.controlOnce(ctx); err != nil && ctx.Err() == nil {
			logrus.Debugf("cluster controllers: %v", err)
		}
	}
}

func (s *server) controlOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var members memberList
	if s.managed {
		status, err := s.client.Status(ctx, s.endpoint())
		if err != nil {
			return err
		}
		if status.Header.MemberId != status.Leader {
			return nil
		}
		found, err := s.client.MemberList(ctx)
		if err != nil {
			return err
		}
		members.Members = found.Members
		s.promote(ctx, members)
	}
	nodes, err := s.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var failed []error
	for _, node := range nodes.Items {
		if node.DeletionTimestamp != nil {
			failed = append(failed, s.removeNode(ctx, &node))
			continue
		}
		failed = append(failed, s.keepFinalizers(ctx, &node), s.markVoter(ctx, &node, members))
	}
	return errors.Join(failed...)
}

// promote makes voting members of learners; etcd refuses as long as they are behind.
func (s *server) promote(ctx context.Context, members memberList) {
	for _, one := range members.Members {
		if one.IsLearner {
			if _, err := s.client.MemberPromote(ctx, one.ID); err == nil {
				logrus.Infof("Promoted learner %s", one.Name)
			}
		}
	}
}

func finalizers(node *corev1.Node) []string {
	wanted := []string{nodeFinalizer}
	if node.Labels[etcdRole] == "true" {
		wanted = append(wanted, etcdFinalizer)
	}
	return wanted
}

func (s *server) keepFinalizers(ctx context.Context, node *corev1.Node) error {
	for _, one := range finalizers(node) {
		if !slices.Contains(node.Finalizers, one) {
			return s.patchNode(ctx, node.Name, map[string]any{"metadata": map[string]any{"finalizers": finalizers(node)}})
		}
	}
	return nil
}

// markVoter keeps the condition by which others see whether a server takes part in etcd's votes.
func (s *server) markVoter(ctx context.Context, node *corev1.Node, members memberList) error {
	if node.Labels[etcdRole] != "true" {
		return nil
	}
	condition := corev1.NodeCondition{
		Type: voterCondition, Status: corev1.ConditionFalse, Reason: "NotAMember", Message: "Node is not a member of the etcd cluster",
	}
	for _, one := range members.Members {
		switch {
		case one.Name != node.Annotations[memberAnnotation]:
		case one.IsLearner:
			condition.Reason, condition.Message = "MemberIsLearner", "Node has not been promoted to voting member of the etcd cluster"
		default:
			condition.Status = corev1.ConditionTrue
			condition.Reason, condition.Message = "MemberNotLearner", "Node is a voting member of the etcd cluster"
		}
	}
	for _, one := range node.Status.Conditions {
		if one.Type == voterCondition && one.Status == condition.Status && one.Reason == condition.Reason {
			return nil
		}
	}
	condition.LastHeartbeatTime = metav1.Now()
	condition.LastTransitionTime = condition.LastHeartbeatTime
	return s.patchNode(ctx, node.Name, map[string]any{"status": map[string]any{"conditions": []any{condition}}}, "status")
}

// removeNode finishes the deletion of a node: its member of etcd and its password go, then the node itself.
func (s *server) removeNode(ctx context.Context, node *corev1.Node) error {
	if slices.Contains(node.Finalizers, etcdFinalizer) {
		if err := s.removeMember(ctx, node); err != nil {
			return err
		}
	}
	secrets := s.kube.CoreV1().Secrets(metav1.NamespaceSystem)
	if err := secrets.Delete(ctx, passwordSecret(node.Name), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(node.Finalizers), func(one string) bool {
		return one == etcdFinalizer || one == nodeFinalizer
	})
	data, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"finalizers": left, "resourceVersion": node.ResourceVersion,
	}})
	if err != nil {
		return err
	}
	_, err = s.kube.CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, data, metav1.PatchOptions{})
	return err
}

func (s *server) removeMember(ctx context.Context, node *corev1.Node) error {
	found, err := s.client.MemberList(ctx)
	if err != nil {
		return err
	}
	for _, one := range found.Members {
		if one.Name == node.Annotations[memberAnnotation] && host(one.PeerURLs) == node.Annotations[addressNote] {
			logrus.Infof("Removing name=%s id=%d address=%s from etcd", one.Name, one.ID, host(one.PeerURLs))
			if _, err := s.client.MemberRemove(ctx, one.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// firstAddress is the service address of the API server itself.
func firstAddress(cidr string) (string, error) {
	ip, _, err := net.ParseCIDR(firstOf(cidr))
	if err != nil {
		return "", err
	}
	ip = slices.Clone(ip)
	if four := ip.To4(); four != nil {
		ip = four
	}
	ip[len(ip)-1]++
	return ip.String(), nil
}
