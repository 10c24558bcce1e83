package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/crypto/scrypt"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// passwordFile proves that a machine is the one that first joined by its name.
const passwordFile = "/etc/rancher/node/password"

// node is what K3s runs a kubelet for. There is none here, so no containers: the node is registered with the real
// credentials of a kubelet and kept Ready, and its pods are said to run.
type node struct {
	v             values
	version, data string
	name, address string
	to            access
	dial          func(ctx context.Context, network, address string) (net.Conn, error) // nil: as usual
	again         func(access) access                                                  // another server, if this one is away
	kube          kubernetes.Interface
}

func newNode(v values, version, data string, to access) (*node, error) {
	n := &node{v: v, version: version, data: data, to: to}
	var err error
	if n.name, err = nodeName(v); err != nil {
		return nil, err
	}
	n.address, err = nodeAddress(v)
	return n, err
}

func nodePassword() (string, error) {
	data, err := os.ReadFile(passwordFile)
	if errors.Is(err, os.ErrNotExist) {
		password := random(16)
		if err := os.MkdirAll(filepath.Dir(passwordFile), 0o755); err != nil {
			return "", err
		}
		return password, replace(passwordFile, []byte(password+"\n"), 0o600)
	}
	return strings.TrimSpace(string(data)), err
}

func (n *node) pki() pki { return pki(filepath.Join(n.data, "agent")) }

// credentials asks the supervisor for the kubelet's certificate.
func (n *node) credentials() error {
	password, err := nodePassword()
	if err != nil {
		return err
	}
	key, err := n.pki().key("client-kubelet")
	if err != nil {
		return err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return err
	}
	headers := map[string]string{"K3s-Node-Name": n.name, "K3s-Node-Password": password, "K3s-Node-IP": n.address}
	for _, name := range []string{"serving-kubelet", "client-kubelet"} {
		signed, err := n.to.request(http.MethodPost, "/v1-k3s/"+name+".crt", headers, bytes.NewReader(request))
		if err != nil {
			return err
		}
		if err := replace(n.pki().path(name+".crt"), signed, 0o644); err != nil {
			return err
		}
	}
	return replace(n.pki().path("server-ca.crt"), n.to.ca, 0o644)
}

// join gets credentials, for as long as it takes, and registers the node.
func (n *node) join(ctx context.Context) error {
	for err := n.credentials(); err != nil; err = n.credentials() {
		logrus.Infof("Waiting to retrieve agent configuration; server is not ready: %v", err)
		if pause(ctx, 5*time.Second); ctx.Err() != nil {
			return ctx.Err()
		}
		if n.again != nil {
			n.to = n.again(n.to)
		}
	}
	server := n.to.url
	if n.dial != nil {
		server = "https://127.0.0.1" // a name that each server's certificate has
	}
	config := &rest.Config{Host: server, Dial: n.dial, TLSClientConfig: rest.TLSClientConfig{
		CAFile: n.pki().path("server-ca.crt"), CertFile: n.pki().path("client-kubelet.crt"),
		KeyFile: n.pki().path("client-kubelet.key"),
	}}
	var err error
	if n.kube, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	for err := n.register(ctx); err != nil; err = n.register(ctx) {
		logrus.Infof("Unable to register node %s with API server: %v", n.name, err)
		if pause(ctx, 2*time.Second); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func (n *node) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	made, err := n.object()
	if err != nil {
		return err
	}
	if _, err := n.kube.CoreV1().Nodes().Create(ctx, made, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return n.heartbeat(ctx)
}

// object is the Node as it is registered the first time.
func (n *node) object() (*corev1.Node, error) {
	labels := map[string]string{
		"kubernetes.io/hostname": n.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
		"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64",
		"node.kubernetes.io/instance-type": "k3s", "beta.kubernetes.io/instance-type": "k3s",
	}
	for _, given := range n.v.list("node-label") {
		name, value, _ := strings.Cut(given, "=")
		labels[name] = value
	}
	var taints []corev1.Taint
	for _, given := range n.v.list("node-taint") {
		rest, effect, found := strings.Cut(given, ":")
		if !found {
			return nil, fmt.Errorf("invalid taint %s: it needs key=value:effect", given)
		}
		key, value, _ := strings.Cut(rest, "=")
		taints = append(taints, corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)})
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.name, Labels: labels, Annotations: map[string]string{
			"k3s.io/hostname": n.name, "k3s.io/internal-ip": n.address,
		}},
		Spec: corev1.NodeSpec{Taints: taints, ProviderID: "k3s://" + n.name}, Status: n.status(),
	}, nil
}

func (n *node) status() corev1.NodeStatus {
	resources := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("20Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	now := metav1.Now()
	condition := func(kind corev1.NodeConditionType, status corev1.ConditionStatus, reason, message string) corev1.NodeCondition {
		return corev1.NodeCondition{
			Type: kind, Status: status, Reason: reason, Message: message, LastHeartbeatTime: now, LastTransitionTime: now,
		}
	}
	return corev1.NodeStatus{
		Capacity: resources, Allocatable: resources,
		Conditions: []corev1.NodeCondition{
			condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory", "stand-in without a kubelet"),
			condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure", "stand-in without a kubelet"),
			condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID", "stand-in without a kubelet"),
			condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "stand-in: no containers run"),
		},
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: n.address}, {Type: corev1.NodeHostName, Address: n.name},
		},
		NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: n.version, OperatingSystem: "linux", Architecture: "amd64",
			OSImage: "K3s stand-in of the lab", ContainerRuntimeVersion: "none://0",
		},
	}
}

// heartbeat renews what the controller manager judges a node by: its status and its lease.
func (n *node) heartbeat(ctx context.Context) error {
	current, err := n.kube.CoreV1().Nodes().Get(ctx, n.name, metav1.GetOptions{})
	if err != nil {
		return err // deleted: as the kubelet, nothing registers it again until the next start
	}
	status := n.status()
	for i, one := range status.Conditions {
		for _, before := range current.Status.Conditions {
			if before.Type == one.Type && before.Status == one.Status {
				status.Conditions[i].LastTransitionTime = before.LastTransitionTime
			}
		}
	}
	data, err := json.Marshal(map[string]any{"status": map[string]any{
		"conditions": status.Conditions, "addresses": status.Addresses, "nodeInfo": status.NodeInfo,
		"capacity": status.Capacity, "allocatable": status.Allocatable,
	}})
	if err != nil {
		return err
	}
	_, err = n.kube.CoreV1().Nodes().Patch(ctx, n.name, types.StrategicMergePatchType, data, metav1.PatchOptions{}, "status")
	if err != nil {
		return err
	}
	return n.renew(ctx, current)
}

func (n *node) renew(ctx context.Context, owner *corev1.Node) error {
	leases := n.kube.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	now, seconds := metav1.NowMicro(), int32(40)
	lease, err := leases.Get(ctx, n.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: n.name, OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "v1", Kind: "Node", Name: n.name, UID: owner.UID},
		}}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &n.name, LeaseDurationSeconds: &seconds, RenewTime: &now}}
		_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
		return err
	} else if err != nil {
		return err
	}
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &n.name, &seconds, &now
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}

// run keeps the node Ready and its pods in the state in which containers would be, until the context ends.
func (n *node) run(ctx context.Context) {
	go n.runPods(ctx)
	for ; ctx.Err() == nil; pause(ctx, 5*time.Second) {
		within, cancel := context.WithTimeout(ctx, 5*time.Second)
		if err := n.heartbeat(within); err != nil && ctx.Err() == nil {
			logrus.Errorf("Unable to update node status: %v", err)
		}
		cancel()
	}
}

func passwordSecret(node string) string { return strings.ToLower(node) + ".node-password.k3s" }

func hashed(password string, salt []byte) (string, error) {
	sum, err := scrypt.Key([]byte(password), salt, 1<<15, 8, 1, 64)
	return fmt.Sprintf("$1:%x:15:8:1:%s", salt, base64.RawStdEncoding.EncodeToString(sum)), err
}

var errRejected = errors.New("node password does not match the secret's hash")

// ensurePassword compares a node's password with its secret, or makes that.
func (s *server) ensurePassword(ctx context.Context, node, password string) error {
	secrets := s.kube.CoreV1().Secrets(metav1.NamespaceSystem)
	found, err := secrets.Get(ctx, passwordSecret(node), metav1.GetOptions{})
	if err == nil {
		fields := strings.Split(string(found.Data["hash"]), ":")
		salt := []byte{}
		if len(fields) > 1 {
			_, _ = fmt.Sscanf(fields[1], "%x", &salt)
		}
		if again, err := hashed(password, salt); err != nil || !same(again, string(found.Data["hash"])) {
			return errRejected
		}
		return nil
	} else if !apierrors.IsNotFound(err) {
		return err
	}
	salt := make([]byte, 8)
	_, _ = rand.Read(salt)
	hash, err := hashed(password, salt)
	if err != nil {
		return err
	}
	immutable := true
	_, err = secrets.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: passwordSecret(node)}, Immutable: &immutable,
		Data: map[string][]byte{"hash": []byte(hash)},
	}, metav1.CreateOptions{})
	return err
}

// nodeCertificate signs a kubelet's key, once the node's password fits.
func (s *server) nodeCertificate(w http.ResponseWriter, r *http.Request) {
	name, password := strings.ToLower(r.Header.Get("K3s-Node-Name")), r.Header.Get("K3s-Node-Password")
	data, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil || name == "" || password == "" {
		refuse(w, http.StatusBadRequest, "node name or node password not set")
		return
	}
	request, err := x509.ParseCertificateRequest(data)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	own, _ := nodePassword()
	switch {
	case name == s.name && same(own, password) && s.kube != nil:
		// As K3s does: its own node is checked on the spot, and a secret of another password is only mentioned.
		if err := s.ensurePassword(r.Context(), name, password); err != nil {
			logrus.Warnf("Deferred node password secret validation failed: %v", err)
		}
	case !s.ready.Load():
		refuse(w, http.StatusServiceUnavailable, "runtime core not ready")
		return
	default:
		if err := s.ensurePassword(r.Context(), name, password); errors.Is(err, errRejected) {
			logrus.Errorf("unable to verify password for node %s: %v", name, err)
			refuse(w, http.StatusForbidden, err.Error())
			return
		} else if err != nil {
			refuse(w, http.StatusServiceUnavailable, err.Error())
			return
		}
	}
	one := leaf{"", "client-ca", subject("system:node:"+name, "system:nodes"), []x509.ExtKeyUsage{forClient}, nil}
	if strings.HasSuffix(r.URL.Path, "/serving-kubelet.crt") {
		names := append([]string{name, "localhost", "127.0.0.1"}, strings.Split(r.Header.Get("K3s-Node-IP"), ",")...)
		one = leaf{"", "server-ca", subject(name), []x509.ExtKeyUsage{forServer}, slices.Compact(names)}
	}
	signed, err := s.tls.sign(one, request.PublicKey)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	_, _ = w.Write(signed)
}
