package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// balancer knows the servers of the cluster, so that an agent goes on when the one it was given is away. K3s keeps the
// same file.
type balancer struct {
	sync.Mutex
	path      string
	URL       string   `json:"ServerURL"`
	Addresses []string `json:"ServerAddresses"`
}

func newBalancer(data, server string) (*balancer, error) {
	parsed, err := url.Parse(server)
	if err != nil || parsed.Scheme != "https" || parsed.Hostname() == "" {
		return nil, fmt.Errorf("only https:// URLs are supported, invalid scheme: %s", server)
	}
	first := hostPort(parsed.Hostname(), or(parsed.Port(), "443"))
	b := &balancer{path: filepath.Join(data, "agent", "etc", "k3s-agent-load-balancer.json")}
	if text, err := os.ReadFile(b.path); err == nil {
		_ = json.Unmarshal(text, b)
	}
	if b.URL != server {
		b.URL, b.Addresses = server, nil
	}
	if !slices.Contains(b.Addresses, first) {
		b.Addresses = append([]string{first}, b.Addresses...)
	}
	return b, nil
}

func (b *balancer) set(addresses []string) {
	b.Lock()
	defer b.Unlock()
	if len(addresses) == 0 || slices.Equal(sorted(addresses), sorted(b.Addresses)) {
		return
	}
	b.Addresses = addresses
	if text, err := json.Marshal(b); err == nil {
		_ = replace(b.path, text, 0o600)
	}
}

// dial connects to the first server that answers, whatever address was asked for.
func (b *balancer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	b.Lock()
	addresses := slices.Clone(b.Addresses)
	b.Unlock()
	err := errors.New("no server is known")
	for _, address := range addresses {
		var conn net.Conn
		dialer := net.Dialer{Timeout: 3 * time.Second}
		if conn, err = dialer.DialContext(ctx, network, address); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// reachable gives the first server that shows a certificate which fits the token.
func (b *balancer) reachable(token string) (access, error) {
	b.Lock()
	addresses := slices.Clone(b.Addresses)
	b.Unlock()
	var failed error
	for _, address := range addresses {
		to, err := trusted("https://"+address, token, "node")
		if err == nil {
			return to, nil
		}
		failed = err
	}
	return access{}, failed
}

// again gives the first server that answers, as the same access: what it shows is known by then.
func (b *balancer) again(to access) access {
	b.Lock()
	addresses := slices.Clone(b.Addresses)
	b.Unlock()
	for _, address := range addresses {
		one := to
		one.url = "https://" + address
		if _, err := one.get("/ping", nil); err == nil {
			return one
		}
	}
	return to
}

// runAgent is `k3s agent`: it waits for a server for as long as it takes, and returns when the signal to end came.
func runAgent(ctx context.Context, v values) error {
	own, data, server := ownRelease(), v.or("data-dir", dataDir), v.text("server")
	logrus.Infof("Starting k3s agent %s (stand-in)", own.version)
	token, err := v.token("token")
	if err != nil {
		return err
	}
	if server == "" {
		return errors.New("--server is required")
	}
	if token == "" {
		return errors.New("--token is required")
	}
	if _, _, _, err := split(token); err != nil {
		return err
	}
	servers, err := newBalancer(data, server)
	if err != nil {
		return err
	}
	to, err := servers.reachable(token)
	for ; err != nil; to, err = servers.reachable(token) {
		logrus.Errorf("%v", err)
		if pause(ctx, 3*time.Second); ctx.Err() != nil {
			return nil
		}
	}
	one, err := newNode(v, own.version, data, to)
	if err != nil {
		return err
	}
	one.dial, one.again = servers.dial, servers.again
	if err := one.join(ctx); err != nil {
		return errors.Join(err, ctx.Err())
	}
	logrus.Info("k3s agent is up and running")
	notifyReady()
	go one.run(ctx)
	for ; ctx.Err() == nil; pause(ctx, 10*time.Second) {
		text, err := servers.again(to).get("/v1-k3s/apiservers", nil)
		var addresses []string
		if err == nil && json.Unmarshal(text, &addresses) == nil {
			servers.set(addresses)
		}
	}
	return nil
}
