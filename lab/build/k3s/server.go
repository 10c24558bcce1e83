package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/client-go/kubernetes"
)

// server is one `k3s server`.
type server struct {
	v             values
	own           release
	data, dir     string // the data folder, and server/ in it
	tls           pki
	name, address string
	port          string
	password      string // the token's
	agentPassword string
	join          *access // of the cluster to join; nil: none, or joined before
	managed       bool    // one of an etcd cluster; otherwise a single server
	full          bool    // with nodes and controllers
	member        string  // its name in etcd
	etcd, api     *child
	others        []*child
	client        *clientv3.Client
	kube          kubernetes.Interface // as administrator
	ready         atomic.Bool

	forgetPassword bool // after a reset: the datastore may have an older one of this node
}

func newServer(v values) (*server, error) {
	s := &server{v: v, own: ownRelease(), data: v.or("data-dir", dataDir), port: v.or("https-listen-port", "6443")}
	s.dir = filepath.Join(s.data, "server")
	s.tls = pki(filepath.Join(s.dir, "tls"))
	var err error
	if s.name, err = nodeName(v); err != nil {
		return nil, err
	}
	if s.address, err = nodeAddress(v); err != nil {
		return nil, err
	}
	for _, name := range []string{"cluster-cidr", "service-cidr"} {
		for _, value := range v.list(name) {
			if _, _, err := net.ParseCIDR(value); err != nil {
				return nil, fmt.Errorf("--%s: %w", name, err)
			}
		}
	}
	return s, nil
}

func (s *server) cidr(name, otherwise string) string {
	if given := s.v.list(name); len(given) > 0 {
		return strings.Join(given, ",")
	}
	return otherwise
}

func (s *server) serviceCIDR() string { return s.cidr("service-cidr", "10.43.0.0/16") }

// critical is what must be the same on all servers.
func (s *server) critical() map[string]string {
	found := map[string]string{
		"ClusterIPRanges": s.cidr("cluster-cidr", "10.42.0.0/16"), "ServiceIPRanges": s.serviceCIDR(),
		"ClusterDNSs": s.cidr("cluster-dns", ""), "ClusterDomain": s.v.or("cluster-domain", "cluster.local"),
		"FlannelBackend": s.v.or("flannel-backend", "vxlan"), "EmbeddedRegistry": s.v.or("embedded-registry", "false"),
		"DisableCCM":  s.v.or("disable-cloud-controller", "false"),
		"DisableNPC":  s.v.or("disable-network-policy", "false"),
		"DisableHelm": s.v.or("disable-helm-controller", "false"), "EncryptSecrets": s.v.or("secrets-encryption", "false"),
	}
	found["DisableServiceLB"] = "false"
	for _, name := range s.v.list("disable") {
		if name == "servicelb" {
			found["DisableServiceLB"] = "true"
		}
	}
	return found
}

// prepare settles what this server is, and gets or makes what its cluster shares.
func (s *server) prepare() error {
	if err := s.buryRemoved(); err != nil {
		return err
	}
	join := s.v.text("server")
	s.managed = s.initialized() || join != "" || s.v.is("cluster-init")
	s.full = s.managed || os.Getenv("K3S_STAND_IN_FULL") == "true"
	token, err := s.v.token("token")
	if err != nil {
		return err
	}
	if token == "" {
		data, _ := os.ReadFile(filepath.Join(s.dir, "token"))
		token = strings.TrimSpace(string(data))
	}
	joining := join != "" && !s.initialized()
	if token == "" && joining {
		return errors.New("K3S_TOKEN is required to join a cluster")
	}
	if token == "" {
		token = random(16)
	}
	if _, _, s.password, err = split(token); err != nil {
		return err
	}
	if joining {
		if err := s.bootstrapFrom(join, token); err != nil {
			return err
		}
	}
	if err := s.passwords(); err != nil {
		return err
	}
	if err := s.encryption(); err != nil {
		return err
	}
	host, _ := os.Hostname()
	first, err := firstAddress(s.serviceCIDR())
	if err != nil {
		return err
	}
	names := append([]string{"127.0.0.1", "::1", "localhost", "kubernetes", "kubernetes.default", host, s.name, s.address, first,
		"kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}, s.v.list("tls-san")...)
	if err := s.tls.write(names, []string{"127.0.0.1", "::1", "localhost", host, s.name, s.address}); err != nil {
		return err
	}
	ca, err := os.ReadFile(s.tls.path("server-ca.crt"))
	if err != nil {
		return err
	}
	return writeTokens(s.dir, s.password, s.agentPassword, ca)
}

// bootstrapFrom gets what the cluster shares from one of its servers.
func (s *server) bootstrapFrom(url, token string) error {
	to, err := trusted(url, token, "server")
	if err != nil {
		return fmt.Errorf("failed to validate token: %w", err)
	}
	data, err := to.get("/v1-k3s/server-bootstrap", nil)
	if err != nil {
		return fmt.Errorf("failed to bootstrap cluster data: %w", err)
	}
	theirs := map[string]string{}
	asNode := to
	asNode.user = "node"
	if text, err := asNode.get("/v1-k3s/config", nil); err != nil {
		logrus.Warnf("Unable to compare the configuration with the cluster's: %v", err) // an agent token of its own
	} else if err := json.Unmarshal(text, &theirs); err != nil {
		return err
	}
	for name, mine := range s.critical() {
		if value, found := theirs[name]; found && value != mine {
			logrus.Errorf("critical configuration mismatched: %s is %s here and %s in the cluster", name, mine, value)
			return errors.New("failed to validate server configuration: critical configuration value mismatch between servers")
		}
	}
	s.join = &to
	return writeBootstrap(s.dir, data)
}

// passwords keeps the file in which K3s has who may join.
func (s *server) passwords() error {
	path := filepath.Join(s.dir, "cred", "passwd")
	agent, err := s.v.token("agent-token")
	if err != nil {
		return err
	}
	if data, err := os.ReadFile(path); err == nil && agent == "" {
		for _, row := range strings.Split(string(data), "\n") {
			if fields := strings.Split(row, ","); len(fields) > 1 && fields[1] == "node" {
				agent = fields[0]
			}
		}
	}
	if agent == "" {
		agent = s.password
	}
	if _, _, agent, err = split(agent); err != nil {
		return err
	}
	s.agentPassword = agent
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	rows := fmt.Sprintf("%s,node,node,k3s:agent\n%s,server,server,k3s:server\n", agent, s.password)
	return replace(path, []byte(rows), 0o600)
}

// encryption makes the key of encrypted secrets, where asked for.
func (s *server) encryption() error {
	path := filepath.Join(s.dir, "cred", "encryption-config.json")
	if _, err := os.Stat(path); err == nil || !s.v.is("secrets-encryption") {
		return nil
	}
	key := base64.StdEncoding.EncodeToString([]byte(random(16)))
	text := `{"kind":"EncryptionConfiguration","apiVersion":"apiserver.config.k8s.io/v1","resources":[{"resources":["secrets"],` +
		`"providers":[{"aescbc":{"keys":[{"name":"aescbckey","secret":"` + key + `"}]}},{"identity":{}}]}]}`
	return replace(path, []byte(text), 0o600)
}

func (s *server) members(ctx context.Context) memberList {
	if s.client != nil && s.managed {
		if found, err := s.client.MemberList(ctx); err == nil {
			return memberList{found.Members}
		}
	}
	return memberList{[]*etcdserverpb.Member{
		{Name: s.member, PeerURLs: []string{s.peerURL()}, ClientURLs: []string{s.clientURL()}},
	}}
}

// run is `k3s server`: it returns when something failed or the signal to end came.
func (s *server) run(ctx context.Context) error {
	logrus.Infof("Starting k3s %s (stand-in)", s.own.version)
	if err := s.prepare(); err != nil {
		return fmt.Errorf("preparing server: %w", err)
	}
	if err := s.supervise(); err != nil {
		return err
	}
	defer s.stop()
	if err := s.startEtcd(ctx); err != nil {
		return err
	}
	if err := s.waitForEtcd(ctx); err != nil {
		return err
	}
	if err := os.Remove(s.resetFlag()); err == nil {
		s.forgetPassword = true
	}
	if path := s.v.text("default-local-storage-path"); path != "" {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	}
	if err := s.startAPI(ctx); err != nil {
		return err
	}
	if err := s.writeKubeconfig(); err != nil {
		return err
	}
	if s.full {
		if err := s.startFull(ctx); err != nil {
			return err
		}
	}
	s.ready.Store(true)
	logrus.Info("k3s is up and running")
	notifyReady()
	select {
	case <-ctx.Done():
		return nil
	case <-s.etcd.done:
		if ctx.Err() != nil {
			return nil
		}
		return s.etcdEnded()
	case <-s.api.done:
		if ctx.Err() != nil {
			return nil
		}
		return errors.New("kube-apiserver exited")
	}
}

// stop ends the parts, etcd last since the others still write to it.
func (s *server) stop() {
	for _, one := range append(s.others, s.api, s.etcd) {
		one.stop()
	}
}

// startAPI starts kube-apiserver and waits until it is ready.
func (s *server) startAPI(ctx context.Context) error {
	program, err := s.own.part(s.data, "kube-apiserver")
	if err != nil {
		return err
	}
	args := []string{
		"--etcd-servers=" + s.endpoint(), "--bind-address=127.0.0.1", "--secure-port=" + apiserverPort,
		"--advertise-address=" + s.address, "--anonymous-auth=false", "--authorization-mode=Node,RBAC",
		"--client-ca-file=" + s.tls.path("client-ca.crt"), "--profiling=false",
		"--tls-cert-file=" + s.tls.path("serving-kube-apiserver.crt"),
		"--tls-private-key-file=" + s.tls.path("serving-kube-apiserver.key"),
		"--requestheader-client-ca-file=" + s.tls.path("request-header-ca.crt"),
		"--requestheader-allowed-names=system:auth-proxy", "--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--service-cluster-ip-range=" + s.serviceCIDR(),
		"--service-account-issuer=https://kubernetes.default.svc." + s.v.or("cluster-domain", "cluster.local"),
		"--service-account-key-file=" + s.tls.path("service.key"),
		"--service-account-signing-key-file=" + s.tls.path("service.key"),
		// Debian's etcd is older than this API server expects: without streamed lists newer clients go on working.
		"--feature-gates=SizeBasedListCostEstimate=false,WatchList=false",
		// No pod runs, so no webhook would ever answer.
		"--disable-admission-plugins=ValidatingAdmissionWebhook,MutatingAdmissionWebhook",
		"--enable-admission-plugins=NodeRestriction",
	}
	if s.managed {
		args = append(args, "--etcd-cafile="+s.tls.path("etcd/server-ca.crt"),
			"--etcd-certfile="+s.tls.path("etcd/client.crt"), "--etcd-keyfile="+s.tls.path("etcd/client.key"))
	}
	if path := filepath.Join(s.dir, "cred", "encryption-config.json"); exists(path) {
		args = append(args, "--encryption-provider-config="+path)
	}
	for _, argument := range s.v.list("kube-apiserver-arg") {
		args = append(args, "--"+argument)
	}
	logrus.Info("Running kube-apiserver")
	if s.api, err = start(program, args, "GOMEMLIMIT=350MiB"); err != nil {
		return err
	}
	secure, err := s.tls.tls("client-admin", "server-ca")
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: secure}}
	for {
		answer, err := client.Get("https://127.0.0.1:" + apiserverPort + "/readyz")
		if err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case s.api.ended():
			return errors.New("kube-apiserver exited")
		case s.etcd.ended():
			return s.etcdEnded()
		}
		pause(ctx, 200*time.Millisecond)
	}
}

// writeKubeconfig leaves the administrator's, with the mode that was asked for.
func (s *server) writeKubeconfig() error {
	mode, err := strconv.ParseUint(s.v.or("write-kubeconfig-mode", "600"), 8, 32)
	if err != nil {
		return fmt.Errorf("--write-kubeconfig-mode: %w", err)
	}
	text, err := s.kubeconfig("client-admin", s.port)
	if err != nil {
		return err
	}
	return replace(s.v.or("write-kubeconfig", kubeconfigFile), text, os.FileMode(mode))
}

func (s *server) kubeconfig(name, port string) ([]byte, error) {
	var coded []any
	for _, file := range []string{"server-ca.crt", name + ".crt", name + ".key"} {
		data, err := os.ReadFile(s.tls.path(file))
		if err != nil {
			return nil, err
		}
		coded = append(coded, base64.StdEncoding.EncodeToString(data))
	}
	return fmt.Appendf(nil, `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: %s
    server: https://127.0.0.1:`+port+`
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
preferences: {}
users:
- name: default
  user:
    client-certificate-data: %s
    client-key-data: %s
`, coded...), nil
}
