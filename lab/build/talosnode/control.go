package main

import (
	"context"
	stdlib "crypto/x509"
	"encoding/pem"
	"log"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/siderolabs/crypto/x509"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	joiners   = "system:bootstrappers:nodes"
	leaseLife = 40 * time.Second
)

// control does, on each control plane node, what Talos itself does in the cluster (the rights of those that join,
// labels and taints), and the two things of kube-controller-manager that are needed: it signs kubelets' certificates
// and marks nodes that fell silent. It ends with the process of kube-apiserver.
func (b *Boot) control(ctx context.Context, server *Process) {
	client, err := b.admin(b.own())
	if err != nil {
		log.Print(err)

		return
	}

	prepared, last := false, ""

	for b.apiserver.current() == server && every(ctx, 2*time.Second) {
		if !prepared {
			err = b.manifests(ctx, client)
			prepared = err == nil
		}

		for _, step := range []func(context.Context, *kubernetes.Clientset) error{b.sign, b.markSilent, b.markOwn} {
			if prepared && err == nil {
				err = step(ctx, client)
			}
		}

		if err != nil && ctx.Err() == nil && err.Error() != last {
			last = err.Error()
			log.Printf("kubernetes: %v", err)
		}

		err = nil
	}
}

// manifests are those of Talos that let workers join.
func (b *Boot) manifests(ctx context.Context, client *kubernetes.Clientset) error {
	token := b.config().Cluster().Token()
	group := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: joiners}}

	_, err := client.CoreV1().Secrets("kube-system").Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + token.ID()},
		Type:       corev1.SecretTypeBootstrapToken,
		StringData: map[string]string{
			"token-id": token.ID(), "token-secret": token.Secret(), "usage-bootstrap-authentication": "true",
			"auth-extra-groups": joiners,
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}

	_, err = client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "system-bootstrap-node-bootstrapper"},
		Subjects:   group,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:node-bootstrapper"},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}

	// In place of the discovery service: a worker reads where the control plane nodes are.
	_, err = client.RbacV1().Roles("default").Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "lab-discovery"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"endpoints"}, Verbs: []string{"get"}}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}

	_, err = client.RbacV1().RoleBindings("default").Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "lab-discovery"},
		Subjects:   group,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "lab-discovery"},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}

	return nil
}

// sign signs the requests of kubelets that come with a bootstrap token.
func (b *Boot) sign(ctx context.Context, client *kubernetes.Clientset) error {
	requests := client.CertificatesV1().CertificateSigningRequests()

	list, err := requests.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}

	authority := b.config().Cluster().IssuingCA()

	for _, request := range list.Items {
		joining := strings.HasPrefix(request.Spec.Username, "system:bootstrap:")
		if !joining || !ofNode(request.Spec.Request) || request.Spec.SignerName != certificatesv1.KubeAPIServerClientKubeletSignerName || len(request.Status.Certificate) > 0 {
			continue
		}

		if len(request.Status.Conditions) == 0 {
			request.Status.Conditions = append(request.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
				Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue,
				Reason: "AutoApproved", Message: "Auto approving kubelet client certificate",
			})

			changed, err := requests.UpdateApproval(ctx, request.Name, &request, metav1.UpdateOptions{})
			if apierrors.IsConflict(err) {
				continue
			} else if err != nil {
				return err
			}

			request = *changed
		}

		signed, err := x509.NewCertificateFromCSRBytes(authority.Crt, authority.Key, request.Spec.Request,
			x509.KeyUsage(stdlib.KeyUsageDigitalSignature), x509.ExtKeyUsage(asClient),
			x509.NotBefore(time.Now().Add(-skew)), x509.NotAfter(time.Now().Add(certificateLife)))
		if err != nil {
			return err
		}

		request.Status.Certificate = signed.X509CertificatePEM
		if _, err := requests.UpdateStatus(ctx, &request, metav1.UpdateOptions{}); err != nil && !apierrors.IsConflict(err) {
			return err
		}
	}

	return nil
}

// ofNode is whether a request is for the name of a node, as the signer for kubelets demands.
func ofNode(text []byte) bool {
	block, _ := pem.Decode(text)
	if block == nil {
		return false
	}

	found, err := stdlib.ParseCertificateRequest(block.Bytes)

	return err == nil && strings.HasPrefix(found.Subject.CommonName, nodeUser) && slices.Equal(found.Subject.Organization, []string{nodeGroup})
}

// markSilent takes Ready from nodes whose lease is over.
func (b *Boot) markSilent(ctx context.Context, client *kubernetes.Clientset) error {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}

	for _, node := range nodes.Items {
		lease, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node.Name, metav1.GetOptions{})
		if err != nil || lease.Spec.RenewTime == nil || time.Since(lease.Spec.RenewTime.Time) < leaseLife || !ready(&node) {
			continue
		}

		for number := range node.Status.Conditions {
			if condition := &node.Status.Conditions[number]; condition.Type == corev1.NodeReady {
				condition.Status, condition.LastTransitionTime = corev1.ConditionUnknown, metav1.Now()
				condition.Reason, condition.Message = "NodeStatusUnknown", "Kubelet stopped posting node status."
			}
		}

		if _, err := client.CoreV1().Nodes().UpdateStatus(ctx, &node, metav1.UpdateOptions{}); err != nil && !apierrors.IsConflict(err) {
			return err
		}
	}

	return nil
}

// markOwn gives this node the label and the taint of a control plane node, and the labels of its configuration.
func (b *Boot) markOwn(ctx context.Context, client *kubernetes.Clientset) error {
	node, err := client.CoreV1().Nodes().Get(ctx, b.hostname(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		return err
	}

	changed := node.DeepCopy()

	labels := map[string]string{"node-role.kubernetes.io/control-plane": ""}
	for name, value := range b.config().Machine().NodeLabels() {
		labels[name] = value
	}

	for name, value := range labels {
		changed.Labels[name] = value
	}

	tainted := false
	for _, taint := range changed.Spec.Taints {
		tainted = tainted || taint.Key == "node-role.kubernetes.io/control-plane"
	}

	if !tainted && !b.config().Cluster().ScheduleOnControlPlanes() {
		changed.Spec.Taints = append(changed.Spec.Taints, corev1.Taint{
			Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule,
		})
	}

	if len(changed.Spec.Taints) == len(node.Spec.Taints) && maps.Equal(node.Labels, changed.Labels) {
		return nil
	}

	_, err = client.CoreV1().Nodes().Update(ctx, changed, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return nil
	}

	return err
}
