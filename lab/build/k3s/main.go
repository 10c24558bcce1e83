// The lab's stand-in for the k3s command. It runs the real etcd, kube-apiserver, controller manager and scheduler as
// processes of their own, joins servers and agents as K3s does, and has no kubelet: see lab/README.md.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/zap"
	"k8s.io/klog/v2"
)

const (
	configFile     = "/etc/rancher/k3s/config.yaml"
	kubeconfigFile = "/etc/rancher/k3s/k3s.yaml"
	dataDir        = "/var/lib/rancher/k3s"
)

var (
	quiet    = zap.NewNop()
	quietLog = log.New(io.Discard, "", 0)
)

func main() {
	debug.SetGCPercent(40) // several of us share one computer
	logrus.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true})
	klog.SetOutput(io.Discard)
	klog.LogToStderr(false)
	if err := command(filepath.Base(os.Args[0]), os.Args[1:]); err != nil {
		logrus.Fatal(err)
	}
}

func command(name string, args []string) error {
	if linked := name == "kubectl" || name == "crictl" || name == "ctr" || name == "etcdctl"; !linked {
		if len(args) == 0 {
			return fmt.Errorf("give a command: the stand-in has server, agent, kubectl, etcd-snapshot and --version")
		}
		name, args = args[0], args[1:]
	}
	switch name {
	case "-v", "--version":
		fmt.Printf("k3s version %s (stand-in)\n", ownRelease().version)
		return nil
	case "server", "agent":
		return serve(name, args)
	case "check-arguments":
		if len(args) == 0 {
			args = []string{"server"}
		}
		_, err := arguments(args[0], args[1:])
		return err
	case "kubectl":
		if os.Getenv("KUBECONFIG") == "" { // K3s' own, where no other is named
			os.Setenv("KUBECONFIG", kubeconfigFile)
		}
		return become(name, args)
	case "etcdctl":
		os.Setenv("ETCDCTL_API", "3")
		return become(name, args)
	case "etcd-snapshot":
		return snapshotCommand(args)
	case "crictl", "ctr":
		return fmt.Errorf("the stand-in runs no containers, so it has no %s", name)
	}
	return fmt.Errorf("no command '%s': the stand-in has server, agent, kubectl, etcd-snapshot and --version", name)
}

// serve runs a server or an agent until it is told to end.
func serve(name string, args []string) error {
	v, err := configured(name, args)
	if err != nil {
		return err
	}
	if v.is("debug") {
		logrus.SetLevel(logrus.DebugLevel)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s must run as root", name)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if name == "agent" {
		return runAgent(ctx, v)
	}
	s, err := newServer(v)
	if err != nil {
		return err
	}
	if v.is("cluster-reset") {
		return s.reset(ctx)
	}
	if err := s.run(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// become runs a program that K3s has inside itself in place of this one.
func become(name string, args []string) error {
	own, data := ownRelease(), dataDir
	if v, err := configFiles("server"); err == nil {
		data = v.or("data-dir", dataDir)
	}
	program, err := own.part(data, name)
	if err != nil {
		return err
	}
	return syscall.Exec(program, append([]string{name}, args...), os.Environ())
}

// notifyReady tells systemd that the service has started.
func notifyReady() {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.Dial("unixgram", strings.Replace(path, "@", "\x00", 1))
	if err == nil {
		_, _ = conn.Write([]byte("READY=1"))
		conn.Close()
	}
}

func pause(ctx context.Context, long time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(long):
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func or(value, otherwise string) string {
	if value != "" {
		return value
	}
	return otherwise
}

func firstOf(list string) string { return strings.TrimSpace(strings.SplitN(list, ",", 2)[0]) }

func hostPort(host, port string) string { return net.JoinHostPort(host, port) }
