package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// memberList is what /db/info answers.
type memberList struct {
	Members []*etcdserverpb.Member `json:"members"`
}

func (s *server) etcdDir() string { return filepath.Join(s.dir, "db", "etcd") }

// singleDir is where the data of a single server is. In truth that is an SQLite database, a file of this name.
func (s *server) singleDir() string { return filepath.Join(s.dir, "db", "state.db") }

func (s *server) peerURL() string   { return "https://" + hostPort(s.address, "2380") }
func (s *server) clientURL() string { return "https://" + hostPort(s.address, "2379") }

// memberName is this server's in etcd: the node's with a random end, kept beside the data.
func (s *server) memberName(anew bool) (string, error) {
	path := filepath.Join(s.etcdDir(), "name")
	if data, err := os.ReadFile(path); err == nil && !anew {
		return string(data), nil
	}
	if err := os.MkdirAll(s.etcdDir(), 0o700); err != nil {
		return "", err
	}
	name := s.name + "-" + random(4)
	return name, replace(path, []byte(name), 0o600)
}

func (s *server) initialized() bool {
	_, err := os.Stat(filepath.Join(s.etcdDir(), "member", "wal"))
	return err == nil
}

// dial gives a client of etcd; of a single server's there is no TLS, since it listens on loopback alone.
func (s *server) dial(endpoints ...string) (*clientv3.Client, error) {
	config := clientv3.Config{Endpoints: endpoints, DialTimeout: 2 * time.Second, Logger: quiet}
	if s.managed {
		secure, err := s.tls.tls("etcd/client", "etcd/server-ca")
		if err != nil {
			return nil, err
		}
		config.TLS = secure
	}
	return clientv3.New(config)
}

func (s *server) endpoint() string {
	if s.managed {
		return "https://127.0.0.1:2379"
	}
	return "http://127.0.0.1:2379"
}

// startSingle starts the datastore of a single server, on loopback.
func (s *server) startSingle() error {
	peer := "http://127.0.0.1:2380"
	return s.runEtcd("--name=default", "--data-dir="+s.singleDir(), "--log-level=error",
		"--listen-client-urls="+s.endpoint(), "--advertise-client-urls="+s.endpoint(),
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer)
}

// startMember starts this server's member of a cluster: as it was, as the first of a new one, or joining.
func (s *server) startMember(cluster []string, state string, more ...string) error {
	metrics := "http://127.0.0.1:2381"
	if s.v.is("etcd-expose-metrics") {
		metrics += ",http://" + hostPort(s.address, "2381")
	}
	args := []string{
		"--name=" + s.member, "--data-dir=" + s.etcdDir(), "--log-level=warn",
		"--heartbeat-interval=500", "--election-timeout=5000", "--listen-metrics-urls=" + metrics,
		"--listen-client-urls=https://127.0.0.1:2379," + s.clientURL(), "--advertise-client-urls=" + s.clientURL(),
		"--listen-peer-urls=" + s.peerURL(), "--initial-advertise-peer-urls=" + s.peerURL(),
		"--initial-cluster=" + strings.Join(cluster, ","), "--initial-cluster-state=" + state,
		"--client-cert-auth", "--trusted-ca-file=" + s.tls.path("etcd/server-ca.crt"),
		"--cert-file=" + s.tls.path("etcd/server-client.crt"), "--key-file=" + s.tls.path("etcd/server-client.key"),
		"--peer-client-cert-auth", "--peer-trusted-ca-file=" + s.tls.path("etcd/peer-ca.crt"),
		"--peer-cert-file=" + s.tls.path("etcd/peer-server-client.crt"),
		"--peer-key-file=" + s.tls.path("etcd/peer-server-client.key"),
	}
	for _, argument := range s.v.list("etcd-arg") {
		more = append(more, "--"+argument)
	}
	if err := os.Chmod(s.etcdDir(), 0o700); err != nil {
		return err
	}
	return s.runEtcd(append(args, more...)...)
}

func (s *server) runEtcd(args ...string) error {
	program, err := s.own.part(s.data, "etcd")
	if err != nil {
		return err
	}
	if s.etcd, err = start(program, append([]string{"--logger=zap"}, args...), "GOGC=50"); err != nil {
		return err
	}
	s.client, err = s.dial(s.endpoint())
	return err
}

// startEtcd chooses how: data on the disk decides, whatever was asked for.
func (s *server) startEtcd(ctx context.Context) error {
	if !s.managed {
		return s.startSingle()
	}
	var err error
	if s.member, err = s.memberName(false); err != nil {
		return err
	}
	self := s.member + "=" + s.peerURL()
	switch {
	case s.initialized():
		logrus.Info("Managed etcd cluster bootstrap already complete and initialized")
		return s.startMember([]string{self}, "existing")
	case s.join == nil:
		logrus.Info("Managed etcd cluster initializing")
		if err := s.migrate(self); err != nil {
			return err
		}
		return s.startMember([]string{self}, "new")
	}
	cluster, err := s.joinCluster(ctx)
	if err != nil {
		return fmt.Errorf("ETCD join failed: %w", err)
	}
	logrus.Infof("Starting etcd for cluster %v", cluster)
	return s.startMember(cluster, "existing")
}

// joinCluster adds this server as a learner and gives all members for etcd's start.
func (s *server) joinCluster(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	data, err := s.join.get("/db/info", nil)
	if err != nil {
		return nil, err
	}
	known := memberList{}
	if err := json.Unmarshal(data, &known); err != nil {
		return nil, err
	}
	var endpoints []string
	for _, one := range known.Members {
		if !one.IsLearner && host(one.PeerURLs) != s.address {
			endpoints = append(endpoints, one.ClientURLs...)
		}
	}
	if len(endpoints) == 0 {
		return nil, errors.New("no member of the etcd cluster could be found")
	}
	client, err := s.dial(endpoints...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	members, err := client.MemberList(ctx)
	if err != nil {
		return nil, err
	}
	var cluster []string
	add := true
	for _, one := range members.Members {
		if one.Name == "" && host(one.PeerURLs) == s.address {
			one.Name = s.member // added by a start that did not get further
		}
		node := one.Name
		if at := strings.LastIndexByte(node, '-'); at > 0 {
			node = node[:at]
		}
		if one.Name != s.member && node == s.name {
			_ = os.Remove(filepath.Join(s.etcdDir(), "name"))
			return nil, errors.New("duplicate node name found, please use a unique name for this node")
		}
		if one.Name == s.member {
			add = false
		}
		cluster = append(cluster, one.Name+"="+one.PeerURLs[0])
	}
	if !add {
		return cluster, nil
	}
	logrus.Infof("Adding member %s=%s to etcd cluster %v", s.member, s.peerURL(), cluster)
	if _, err := client.MemberAddAsLearner(ctx, []string{s.peerURL()}); err != nil {
		return nil, err
	}
	return append(cluster, s.member+"="+s.peerURL()), nil
}

// waitForEtcd returns when this server's member takes part in votes, and the token fits the cluster's data.
func (s *server) waitForEtcd(ctx context.Context) error {
	said := ""
	for {
		err := s.testEtcd(ctx)
		switch {
		case err == nil:
			return s.checkToken(ctx)
		case ctx.Err() != nil:
			return ctx.Err()
		case s.etcd.ended():
			return s.etcdEnded()
		}
		if err.Error() != said {
			said = err.Error()
			logrus.Infof("Failed to test etcd connection: %s", said)
		}
		pause(ctx, 300*time.Millisecond)
	}
}

func (s *server) testEtcd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	status, err := s.client.Status(ctx, s.endpoint())
	if err != nil {
		return errors.New("etcd does not answer yet")
	}
	if status.IsLearner {
		return errors.New("this server has not yet been promoted from learner to voting member")
	}
	if _, err := s.client.Get(ctx, "health"); err != nil {
		return fmt.Errorf("etcd has no leader yet: %w", err)
	}
	return nil
}

func (s *server) checkToken(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return storeBootstrap(ctx, s.client, s.password, s.dir)
}

// etcdEnded tells why; a member that was removed leaves a mark, so that the next start joins anew.
func (s *server) etcdEnded() error {
	if s.managed && s.etcd.said.contains("removed") {
		if err := os.WriteFile(filepath.Join(s.etcdDir(), "tombstone"), nil, 0o600); err != nil {
			return err
		}
		return errors.New("This node has been removed from the cluster - please restart k3s to rejoin the cluster")
	}
	return errors.New("etcd exited")
}

// buryRemoved puts the data of a removed member aside.
func (s *server) buryRemoved() error {
	if _, err := os.Stat(filepath.Join(s.etcdDir(), "tombstone")); err != nil {
		return nil
	}
	logrus.Info("tombstone file has been detected, removing data dir to rejoin the cluster")
	return os.Rename(s.etcdDir(), fmt.Sprintf("%s-old-%d", s.etcdDir(), time.Now().Unix()))
}

func host(urls []string) string {
	if len(urls) == 0 {
		return ""
	}
	parsed, err := url.Parse(urls[0])
	if err != nil {
		return ""
	}
	return parsed.Hostname()
}
