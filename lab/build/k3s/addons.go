package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	storageClass     = "local-path"
	provisioner      = "rancher.io/local-path"
	selectedNode     = "volume.kubernetes.io/selected-node"
	provisionedBy    = "pv.kubernetes.io/provisioned-by"
	defaultClassNote = "storageclass.kubernetes.io/is-default-class"
)

// serveAddons does what K3s' service load balancer and its local-path provisioner do. Nothing listens at the addresses,
// and no volume has a folder.
func (s *server) serveAddons(ctx context.Context) {
	for ; ctx.Err() == nil; pause(ctx, time.Second) {
		within, cancel := context.WithTimeout(ctx, 20*time.Second)
		err := errors.Join(giveClass(within, s.kube), giveAddresses(within, s.kube),
			giveVolumes(within, s.kube, filepath.Join(s.data, "storage")), takeVolumes(within, s.kube))
		cancel()
		// Several servers do this: a conflict means that another one was first.
		if err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) {
			logrus.Debugf("addons: %v", err)
		}
	}
}

func giveClass(ctx context.Context, kube kubernetes.Interface) error {
	if _, err := kube.StorageV1().StorageClasses().Get(ctx, storageClass, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return err
	}
	_, err := kube.StorageV1().StorageClasses().Create(ctx, &storagev1.StorageClass{
		ObjectMeta:  metav1.ObjectMeta{Name: storageClass, Annotations: map[string]string{defaultClassNote: "true"}},
		Provisioner: provisioner, VolumeBindingMode: ptr(storagev1.VolumeBindingWaitForFirstConsumer),
		ReclaimPolicy: ptr(corev1.PersistentVolumeReclaimDelete),
	}, metav1.CreateOptions{})
	return err
}

// giveAddresses gives each Service of type LoadBalancer the addresses of all nodes.
func giveAddresses(ctx context.Context, kube kubernetes.Interface) error {
	services, err := kube.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var failed []error
	for _, one := range services.Items {
		foreign := one.Spec.LoadBalancerClass != nil || len(one.Status.LoadBalancer.Ingress) > 0
		if one.Spec.Type != corev1.ServiceTypeLoadBalancer || foreign {
			continue
		}
		nodes, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, node := range nodes.Items {
			for _, address := range node.Status.Addresses {
				if address.Type == corev1.NodeInternalIP {
					one.Status.LoadBalancer.Ingress = append(one.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{
						IP: address.Address, IPMode: ptr(corev1.LoadBalancerIPModeVIP),
					})
				}
			}
		}
		_, err = kube.CoreV1().Services(one.Namespace).UpdateStatus(ctx, &one, metav1.UpdateOptions{})
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// giveVolumes makes a volume for each claim whose pod has a node.
func giveVolumes(ctx context.Context, kube kubernetes.Interface, folder string) error {
	claims, err := kube.CoreV1().PersistentVolumeClaims(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var failed []error
	for _, claim := range claims.Items {
		node := claim.Annotations[selectedNode]
		ours := claim.Spec.StorageClassName != nil && *claim.Spec.StorageClassName == storageClass
		if !ours || node == "" || claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil {
			continue
		}
		name := "pvc-" + string(claim.UID)
		_, err := kube.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{provisionedBy: provisioner}},
			Spec: corev1.PersistentVolumeSpec{
				Capacity:    corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
				AccessModes: claim.Spec.AccessModes, StorageClassName: storageClass, VolumeMode: claim.Spec.VolumeMode,
				PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
				PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{
					Path: filepath.Join(folder, name+"_"+claim.Namespace+"_"+claim.Name),
				}},
				ClaimRef: &corev1.ObjectReference{
					Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
				},
				NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
					MatchExpressions: []corev1.NodeSelectorRequirement{{
						Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node},
					}},
				}}}},
			},
		}, metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// takeVolumes removes those whose claim is gone.
func takeVolumes(ctx context.Context, kube kubernetes.Interface) error {
	volumes, err := kube.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var failed []error
	for _, one := range volumes.Items {
		if one.Annotations[provisionedBy] == provisioner && one.Status.Phase == corev1.VolumeReleased {
			err := kube.CoreV1().PersistentVolumes().Delete(ctx, one.Name, metav1.DeleteOptions{})
			if !apierrors.IsNotFound(err) {
				failed = append(failed, err)
			}
		}
	}
	return errors.Join(failed...)
}
