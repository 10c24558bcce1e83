package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"
)

// neverReady is a label of pods that shall fail: they stay Pending.
const neverReady = "lab/never-ready"

// runPods says of the node's pods what would be if their containers ran: at once, and Jobs are done at once.
func (n *node) runPods(ctx context.Context) {
	mine := fields.OneTermEqualSelector("spec.nodeName", n.name)
	source := cache.NewListWatchFromClient(n.kube.CoreV1().RESTClient(), "pods", metav1.NamespaceAll, mine)
	handle := func(object any) {
		pod, ok := object.(*corev1.Pod)
		if !ok {
			return
		}
		if err := n.runPod(ctx, pod); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && ctx.Err() == nil {
			logrus.Warnf("pod %s/%s: %v", pod.Namespace, pod.Name, err)
		}
	}
	_, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: source, ObjectType: &corev1.Pod{}, ResyncPeriod: 30 * time.Second,
		Handler: cache.ResourceEventHandlerFuncs{AddFunc: handle, UpdateFunc: func(_, now any) { handle(now) }},
	})
	controller.Run(ctx.Done())
}

func (n *node) runPod(ctx context.Context, pod *corev1.Pod) error {
	pods := n.kube.CoreV1().Pods(pod.Namespace)
	if pod.DeletionTimestamp != nil {
		now := int64(0)
		uid := pod.UID
		return pods.Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &uid},
		})
	}
	if pod.Status.Phase != corev1.PodPending && pod.Status.Phase != "" {
		return nil
	}
	if _, never := pod.Labels[neverReady]; never {
		return nil
	}
	next := pod.DeepCopy()
	next.Status = n.podStatus(pod)
	_, err := pods.UpdateStatus(ctx, next, metav1.UpdateOptions{})
	return err
}

func (n *node) podStatus(pod *corev1.Pod) corev1.PodStatus {
	now := metav1.Now()
	done := false
	for _, owner := range pod.OwnerReferences {
		done = done || owner.Kind == "Job"
	}
	status := pod.Status
	status.Phase, status.HostIP, status.StartTime = corev1.PodRunning, n.address, &now
	state := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}
	ready := corev1.ConditionTrue
	if done {
		status.Phase, ready = corev1.PodSucceeded, corev1.ConditionFalse
		state = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: "Completed", StartedAt: now, FinishedAt: now,
		}}
	}
	// Of a range of its own: nothing listens there.
	sum := digest([]byte(pod.UID))
	var third, fourth int
	_, _ = fmt.Sscanf(sum[:4], "%2x%2x", &third, &fourth)
	status.PodIP = fmt.Sprintf("10.42.%d.%d", third, fourth)
	status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	status.ContainerStatuses = nil
	for _, one := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{
			Name: one.Name, Image: one.Image, ImageID: one.Image, ContainerID: "none://" + sum[:16],
			Ready: !done, Started: ptr(!done), State: state,
		})
	}
	status.Conditions = nil
	for kind, value := range map[corev1.PodConditionType]corev1.ConditionStatus{
		corev1.PodScheduled: corev1.ConditionTrue, corev1.PodInitialized: corev1.ConditionTrue,
		corev1.ContainersReady: ready, corev1.PodReady: ready,
	} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: kind, Status: value, LastTransitionTime: now})
	}
	return status
}

func ptr[T any](value T) *T { return &value }
