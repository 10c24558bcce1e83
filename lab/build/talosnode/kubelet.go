package main

import (
	"context"
	"crypto/tls"
	stdlib "crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/siderolabs/crypto/x509"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Kubelet stands for the kubelet: it registers the node and keeps it Ready, and starts no pod.
type Kubelet struct {
	boot *Boot
}

const (
	heartbeat = 5 * time.Second
	nodeUser  = "system:node:"
	nodeGroup = "system:nodes"
)

// server is where the node finds Kubernetes: a control plane node has one of its own.
func (k *Kubelet) server() string {
	if k.boot.isControlPlane() {
		return k.boot.own()
	}

	return k.boot.endpoint()
}

func (k *Kubelet) run(ctx context.Context) {
	b := k.boot

	// Like the kubelet of a control plane node, it is healthy before there is a cluster.
	b.services.set("kubelet", "Running", true, "Health check successful")

	var (
		client     *kubernetes.Clientset
		registered bool
		last       string
	)

	for pause := time.Second; every(ctx, pause); {
		var err error

		if client == nil {
			client, err = k.client(ctx)
		}

		if err == nil && !registered {
			err = k.register(ctx, client)
			registered = err == nil
		}

		if err == nil {
			pause, err = heartbeat, k.beat(ctx, client)
		}

		if err != nil && ctx.Err() == nil && err.Error() != last {
			last = err.Error()
			log.Printf("kubelet: %v", err)
		}
	}
}

// client uses the certificate on the disk; the first time it is requested with the bootstrap token.
func (k *Kubelet) client(ctx context.Context) (*kubernetes.Clientset, error) {
	path := k.boot.disk.path("var", "lib", "kubelet", "client.pem")

	text, err := os.ReadFile(path)
	if err != nil || !valid(text, k.boot.hostname()) {
		if text, err = k.request(ctx); err != nil {
			return nil, err
		}

		if err := k.boot.disk.write(text, "var", "lib", "kubelet", "client.pem"); err != nil {
			return nil, err
		}
	}

	settings := k.boot.settings(k.server())
	settings.CertData, settings.KeyData = text, text

	return kubernetes.NewForConfig(settings)
}

// valid is whether a file holds a certificate of this node that lasts.
func valid(text []byte, hostname string) bool {
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return false
	}

	found, err := stdlib.ParseCertificate(pair.Certificate[0])

	return err == nil && found.Subject.CommonName == nodeUser+hostname && time.Until(found.NotAfter) > time.Hour
}

// request has a client certificate signed, as the kubelet's TLS bootstrap does.
func (k *Kubelet) request(ctx context.Context) ([]byte, error) {
	settings := k.boot.settings(k.server())
	settings.BearerToken = k.boot.bootstrapToken()

	client, err := kubernetes.NewForConfig(settings)
	if err != nil {
		return nil, err
	}

	asked, pair, err := x509.NewECDSACSRAndIdentity(x509.CommonName(nodeUser+k.boot.hostname()), x509.Organization(nodeGroup))
	if err != nil {
		return nil, err
	}

	requests := client.CertificatesV1().CertificateSigningRequests()

	made, err := requests.Create(ctx, &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "csr-"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:    asked.X509CertificateRequestPEM,
			SignerName: certificatesv1.KubeAPIServerClientKubeletSignerName,
			Usages:     []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}

	for range 30 {
		if !every(ctx, time.Second) {
			return nil, ctx.Err()
		}

		found, err := requests.Get(ctx, made.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}

		if block, _ := pem.Decode(found.Status.Certificate); block != nil {
			return append(found.Status.Certificate, pair.Key...), nil
		}
	}

	return nil, errors.New("no control plane node signs the kubelet's certificate")
}

// register makes the Node once in a boot: one that is deleted later stays deleted until then.
func (k *Kubelet) register(ctx context.Context, client *kubernetes.Clientset) error {
	name := k.boot.hostname()

	_, err := client.CoreV1().Nodes().Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
		}},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}

	return err
}

// beat renews the node's lease and its status.
func (k *Kubelet) beat(ctx context.Context, client *kubernetes.Clientset) error {
	name, now := k.boot.hostname(), metav1.NewMicroTime(time.Now())

	node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}

	if node.Annotations[cordoned] != "" && len(k.boot.ready()) == 0 {
		node.Spec.Unschedulable = false
		delete(node.Annotations, cordoned)

		if node, err = client.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}

	leases := client.CoordinationV1().Leases(corev1.NamespaceNodeLease)

	lease, err := leases.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		seconds := int32(40)
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "v1", Kind: "Node", Name: name, UID: node.UID},
			}},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: &name, LeaseDurationSeconds: &seconds, RenewTime: &now},
		}, metav1.CreateOptions{})
	} else if err == nil {
		lease.Spec.RenewTime = &now
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	}

	if err != nil {
		return err
	}

	wanted := k.status(node)
	if ready(node) && node.Status.NodeInfo == wanted.NodeInfo {
		return nil
	}

	node.Status = wanted
	_, err = client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})

	return err
}

func ready(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}

	return false
}

func (k *Kubelet) status(node *corev1.Node) corev1.NodeStatus {
	b, now := k.boot, metav1.Now()

	image := b.config().Machine().Kubelet().Image()
	version := image[strings.LastIndex(image, ":")+1:]
	status := node.Status
	status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: b.address.String()},
		{Type: corev1.NodeHostName, Address: b.hostname()},
	}
	status.Capacity = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("2Gi"),
		corev1.ResourcePods: resource.MustParse("110"),
	}
	status.Allocatable = status.Capacity
	status.NodeInfo.KubeletVersion = version
	status.NodeInfo.OSImage = fmt.Sprintf("Talos (%s)", b.disk.meta().Version)
	status.NodeInfo.OperatingSystem, status.NodeInfo.Architecture = "linux", "amd64"
	status.NodeInfo.ContainerRuntimeVersion = "containerd://2.1.5"
	status.NodeInfo.BootID = b.id
	status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
		Message: "kubelet is posting ready status", LastHeartbeatTime: now, LastTransitionTime: now,
	}}

	return status
}

// cordon marks the node as unschedulable; there are no pods to evict.
func (b *Boot) cordon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	client, err := b.kubelet.client(ctx)
	if err != nil {
		return err
	}

	node, err := client.CoreV1().Nodes().Get(ctx, b.hostname(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && node.Spec.Unschedulable {
		return nil
	} else if err != nil {
		return err
	}

	node.Spec.Unschedulable = true
	if node.Annotations == nil {
		node.Annotations = map[string]string{}
	}

	node.Annotations[cordoned] = "true"
	_, err = client.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{})

	return err
}

// cordoned marks a Node that Talos made unschedulable, which it takes back after the boot.
const cordoned = "talos.dev/cordoned"
