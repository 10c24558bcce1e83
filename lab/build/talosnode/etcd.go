package main

import (
	"context"
	"crypto/tls"
	stdlib "crypto/x509"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siderolabs/crypto/x509"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// Etcd is the member of the cluster's etcd that runs on a control plane node.
type Etcd struct {
	boot *Boot

	mu      sync.Mutex
	process *Process
	joining context.CancelFunc // ends the attempts to join a cluster
	joined  chan struct{}      // closed when they have ended
	stopped bool
}

func (e *Etcd) hasData() bool {
	entries, err := os.ReadDir(e.boot.disk.etcd())

	return err == nil && len(entries) > 0
}

// start runs the member that is on the disk; without one, the node asks to join the cluster until somebody
// bootstraps it here.
func (e *Etcd) start(ctx context.Context) error {
	if err := e.writeCertificates(); err != nil {
		return err
	}

	e.boot.services.set("etcd", "Preparing", false, "")

	go e.watch(ctx)

	if e.hasData() {
		e.run("existing", "")

		return nil
	}

	ctx, e.joining = context.WithCancel(ctx)
	e.joined = make(chan struct{})

	go func() {
		defer close(e.joined)
		e.join(ctx)
	}()

	return nil
}

func (e *Etcd) writeCertificates() error {
	authority := e.boot.config().Cluster().Etcd().CA()
	names := Names{}.with(e.boot.address.String(), "127.0.0.1", e.boot.hostname(), "localhost")

	for _, name := range []string{"server", "peer"} {
		pair, err := issue(authority, asBoth, append(names.options(), x509.CommonName(e.boot.hostname()))...)
		if err != nil {
			return fmt.Errorf("etcd: %w", err)
		}

		if err := e.boot.disk.writePair(pair, "run", "etcd", name); err != nil {
			return err
		}
	}

	return e.boot.disk.write(authority.Crt, "run", "etcd", "ca.crt")
}

func (d Disk) writePair(pair *x509.PEMEncodedCertificateAndKey, parts ...string) error {
	last := len(parts) - 1
	name := parts[last]

	if err := d.write(pair.Crt, append(slices.Clone(parts[:last]), name+".crt")...); err != nil {
		return err
	}

	return d.write(pair.Key, append(slices.Clone(parts[:last]), name+".key")...)
}

// run starts etcd: state "new" or "existing", and the initial cluster unless its data has it.
func (e *Etcd) run(state, members string) {
	e.mu.Lock()
	defer e.mu.Unlock()

	if e.stopped || e.process != nil {
		return
	}

	disk, client, peer := e.boot.disk, e.boot.url(2379), e.boot.url(2380)
	argv := []string{
		e.boot.programs.Etcd,
		"--name=" + e.boot.hostname(), "--data-dir=" + disk.etcd(),
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client, "--listen-peer-urls=" + peer,
		"--client-cert-auth", "--trusted-ca-file=" + disk.path("run", "etcd", "ca.crt"),
		"--cert-file=" + disk.path("run", "etcd", "server.crt"), "--key-file=" + disk.path("run", "etcd", "server.key"),
		"--peer-client-cert-auth", "--peer-trusted-ca-file=" + disk.path("run", "etcd", "ca.crt"),
		"--peer-cert-file=" + disk.path("run", "etcd", "peer.crt"), "--peer-key-file=" + disk.path("run", "etcd", "peer.key"),
		"--initial-cluster-state=" + state, "--logger=zap", "--log-level=warn",
		// Nothing of the lab has to survive a power failure.
		"--unsafe-no-fsync",
	}

	if members != "" {
		argv = append(argv, "--initial-cluster="+members, "--initial-advertise-peer-urls="+peer)
	}

	e.process = disk.start("etcd", argv, []string{})
}

// bootstrap begins a new cluster on this node.
func (e *Etcd) bootstrap(recover, skipHash bool) error {
	if e.joining != nil {
		e.joining()
		<-e.joined
	}

	if e.hasData() {
		return errors.New("etcd data directory is not empty")
	}

	if recover {
		if err := e.restore(skipHash); err != nil {
			return fmt.Errorf("error recovering from the snapshot: %w", err)
		}

		e.run("existing", "")

		return nil
	}

	e.run("new", e.alone())

	return nil
}

// alone is an initial cluster of this node.
func (e *Etcd) alone() string {
	return fmt.Sprintf("%s=%s", e.boot.hostname(), e.boot.url(2380))
}

// restore makes the data of a new cluster, with this node as its only member, of the snapshot that was uploaded.
func (e *Etcd) restore(skipHash bool) error {
	disk := e.boot.disk
	if err := os.Remove(disk.etcd()); err != nil { // it is empty, and etcdctl makes it
		return err
	}

	argv := []string{
		"snapshot", "restore", disk.snapshot(), "--name=" + e.boot.hostname(), "--data-dir=" + disk.etcd(),
		"--initial-cluster=" + e.alone(), "--initial-advertise-peer-urls=" + e.boot.url(2380),
	}
	if skipHash {
		argv = append(argv, "--skip-hash-check")
	}

	command := exec.Command(e.boot.programs.Etcdctl, argv...)
	command.Env = []string{"ETCDCTL_API=3"}

	if output, err := command.CombinedOutput(); err != nil {
		_ = os.RemoveAll(disk.etcd())

		return errors.Join(fmt.Errorf("%w: %s", err, output), os.Mkdir(disk.etcd(), 0o700))
	}

	return os.Remove(disk.snapshot())
}

// join asks the cluster's members to take this node as a learner, starts it, and has it promoted.
func (e *Etcd) join(ctx context.Context) {
	log.Print("etcd is waiting to join the cluster; if this is the first node, run talosctl bootstrap")

	for every(ctx, 2*time.Second) {
		members, learner, err := e.addMember(ctx)
		if err != nil {
			if ctx.Err() == nil {
				log.Printf("etcd cannot join yet: %v", err)
			}

			continue
		}

		e.run("existing", members)

		for every(ctx, 2*time.Second) {
			if err := e.promote(ctx, learner); err == nil {
				log.Print("successfully promoted etcd member")

				return
			}
		}
	}
}

func (e *Etcd) addMember(ctx context.Context) (members string, learner uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()

	client, err := e.client(e.others(ctx))
	if err != nil {
		return "", 0, err
	}
	defer client.Close()

	list, err := client.MemberList(clientv3.WithRequireLeader(ctx))
	if err != nil {
		return "", 0, fmt.Errorf("error getting etcd member list: %w", err)
	}

	for _, member := range list.Members {
		// One of this name or place was this node before its disk was wiped.
		if member.Name == e.boot.hostname() || slices.Contains(member.PeerURLs, e.boot.url(2380)) {
			if _, err := client.MemberRemove(ctx, member.ID); err != nil {
				return "", 0, fmt.Errorf("error removing self from the member list: %w", err)
			}
		}
	}

	added, err := client.MemberAddAsLearner(ctx, []string{e.boot.url(2380)})
	if err != nil {
		return "", 0, fmt.Errorf("error adding member: %w", err)
	}

	var all []string

	for _, member := range added.Members {
		name := member.Name
		if member.ID == added.Member.ID {
			name = e.boot.hostname()
		}

		for _, url := range member.PeerURLs {
			all = append(all, name+"="+url)
		}
	}

	return strings.Join(all, ","), added.Member.ID, nil
}

func (e *Etcd) promote(ctx context.Context, learner uint64) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()

	client, err := e.client(e.others(ctx))
	if err != nil {
		return err
	}
	defer client.Close()

	_, err = client.MemberPromote(ctx, learner)

	return err
}

// others are the endpoints of the other control plane nodes.
func (e *Etcd) others(ctx context.Context) []string {
	var found []string

	known, err := e.boot.apiServers(ctx)
	if err != nil {
		log.Print(err)
	}

	for _, address := range known {
		if address != e.boot.address.String() {
			found = append(found, fmt.Sprintf("https://%s:2379", bracketed(address)))
		}
	}

	return found
}

func (e *Etcd) client(endpoints []string) (*clientv3.Client, error) {
	if len(endpoints) == 0 {
		return nil, errors.New("no endpoints")
	}

	authority := e.boot.config().Cluster().Etcd().CA()

	certificate, err := issue(authority, asClient, x509.CommonName("talos"))
	if err != nil {
		return nil, err
	}

	pair, err := tls.X509KeyPair(certificate.Crt, certificate.Key)
	if err != nil {
		return nil, err
	}

	pool := stdlib.NewCertPool()
	pool.AppendCertsFromPEM(authority.Crt)

	return clientv3.New(clientv3.Config{
		Endpoints: endpoints, DialTimeout: 5 * time.Second, Logger: quiet,
		DialOptions: []grpc.DialOption{grpc.WithNoProxy()},
		TLS:         &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, MinVersion: tls.VersionTLS12},
	})
}

// with gives a client of this node's member to `do`, for at most that long.
func (e *Etcd) with(ctx context.Context, limit time.Duration, do func(context.Context, *clientv3.Client) error) error {
	client, err := e.client([]string{e.boot.url(2379)})
	if err != nil {
		return err
	}
	defer client.Close()

	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	return do(clientv3.WithRequireLeader(ctx), client)
}

// watch keeps the service's state: healthy is a member whose cluster has a quorum.
func (e *Etcd) watch(ctx context.Context) {
	for every(ctx, time.Second) {
		if !e.running() {
			continue
		}

		err := e.with(ctx, 3*time.Second, func(ctx context.Context, client *clientv3.Client) error {
			_, err := client.Get(ctx, "health")

			return err
		})
		if err == nil {
			e.boot.services.set("etcd", "Running", true, "Health check successful")
		} else if ctx.Err() == nil {
			e.boot.services.set("etcd", "Running", false, err.Error())
		}
	}
}

func (e *Etcd) running() bool {
	e.mu.Lock()
	defer e.mu.Unlock()

	return e.process != nil
}

func (e *Etcd) stop() {
	e.mu.Lock()
	e.stopped = true
	process := e.process
	e.process = nil
	e.mu.Unlock()

	process.stop()
}
