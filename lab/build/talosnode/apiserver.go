package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/siderolabs/crypto/x509"
	"sigs.k8s.io/yaml"
)

// APIServer is the kube-apiserver of a control plane node.
type APIServer struct {
	mu      sync.Mutex
	process *Process
}

func (a *APIServer) current() *Process {
	a.mu.Lock()
	defer a.mu.Unlock()

	return a.process
}

func (a *APIServer) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.process.stop()
	a.process = nil
}

// serveKubernetes keeps kube-apiserver running while etcd does, and does what a cluster needs of the programs that
// this stand-in lacks.
func (b *Boot) serveKubernetes(ctx context.Context) {
	for every(ctx, time.Second) {
		if b.etcd.running() && b.apiserver.current() == nil && b.services.healthy("etcd") {
			argv, err := b.apiserverArguments()
			if err != nil {
				log.Printf("kube-apiserver: %v", err)

				continue
			}

			b.apiserver.mu.Lock()
			if ctx.Err() == nil {
				// A machine of the lab has little memory.
				b.apiserver.process = b.disk.start("kube-apiserver", argv, []string{"GOMEMLIMIT=300MiB", "GOGC=50"})
			}
			b.apiserver.mu.Unlock()

			go b.control(ctx, b.apiserver.current())
		}
	}
}

// answers is whether this node's kube-apiserver is ready. It refuses those without credentials, and lives.
func (b *Boot) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.own()+"/readyz", nil)
	if err != nil {
		return false
	}

	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}} //nolint:gosec

	answer, err := client.Do(request)
	if err != nil {
		return false
	}
	defer answer.Body.Close()

	return answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusUnauthorized
}

// apiserverArguments writes the files that kube-apiserver needs and gives its command: the flags that Talos gives it,
// and those of the configuration's extraArgs.
func (b *Boot) apiserverArguments() ([]string, error) {
	cluster := b.config().Cluster()

	files := b.disk.path("run", "kubernetes")
	file := func(name string) string { return filepath.Join(files, name) }

	if err := b.writeKubernetesSecrets(); err != nil {
		return nil, err
	}

	if err := b.writeKubernetesPolicies(); err != nil {
		return nil, err
	}

	arguments := map[string]string{
		"admission-control-config-file": file("admission.yaml"),
		"advertise-address":             b.address.String(),
		"allow-privileged":              "true",
		"anonymous-auth":                "false",
		"api-audiences":                 b.endpoint(),
		"audit-log-maxbackup":           "1",
		"audit-log-maxsize":             "10",
		"audit-log-path":                b.disk.path("var", "log", "audit", "kube-apiserver.log"),
		"audit-policy-file":             file("auditpolicy.yaml"),
		"authorization-mode":            "Node,RBAC",
		"bind-address":                  bindAddress(b.bind),
		"client-ca-file":                file("ca.crt"),
		"enable-admission-plugins":      "NodeRestriction",
		// The lab's machines reach no webhook.
		"disable-admission-plugins":          "ValidatingAdmissionWebhook,MutatingAdmissionWebhook",
		"enable-bootstrap-token-auth":        "true",
		"encryption-provider-config":         file("encryptionconfig.yaml"),
		"etcd-cafile":                        file("etcd-client-ca.crt"),
		"etcd-certfile":                      file("etcd-client.crt"),
		"etcd-keyfile":                       file("etcd-client.key"),
		"etcd-servers":                       b.url(2379),
		"feature-gates":                      "WatchList=false", // Debian's etcd does not have what it needs
		"profiling":                          "false",
		"proxy-client-cert-file":             file("front-proxy-client.crt"),
		"proxy-client-key-file":              file("front-proxy-client.key"),
		"requestheader-allowed-names":        "front-proxy-client",
		"requestheader-client-ca-file":       file("aggregator-ca.crt"),
		"requestheader-extra-headers-prefix": "X-Remote-Extra-",
		"requestheader-group-headers":        "X-Remote-Group",
		"requestheader-username-headers":     "X-Remote-User",
		"secure-port":                        strconv.Itoa(cluster.LocalAPIServerPort()),
		"service-account-issuer":             b.endpoint(),
		"service-account-key-file":           file("service-account.pub"),
		"service-account-signing-key-file":   file("service-account.key"),
		"service-cluster-ip-range":           strings.Join(cluster.Network().ServiceCIDRs(), ","),
		"tls-cert-file":                      file("apiserver.crt"),
		"tls-private-key-file":               file("apiserver.key"),
	}

	for name, value := range cluster.APIServer().ExtraArgs() {
		if name == "feature-gates" || name == "enable-admission-plugins" {
			value = arguments[name] + "," + value
		}

		arguments[name] = value
	}

	argv := []string{b.programs.APIServer}
	for _, name := range slices.Sorted(maps.Keys(arguments)) {
		argv = append(argv, fmt.Sprintf("--%s=%s", name, arguments[name]))
	}

	return argv, nil
}

func bindAddress(bind string) string {
	if bind == "" {
		return "0.0.0.0"
	}

	return bind
}

func (b *Boot) writeKubernetesSecrets() error {
	cluster := b.config().Cluster()

	names := Names{}.with(b.address.String(), "127.0.0.1", b.hostname(), "localhost", cluster.Endpoint().Hostname(),
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc."+cluster.Network().DNSDomain())
	names = names.with(cluster.CertSANs()...)

	for _, shared := range b.sharedAddresses() {
		names = names.with(shared.String())
	}

	services, err := cluster.Network().APIServerIPs()
	if err != nil {
		return err
	}

	names.addresses = append(names.addresses, services...)

	server, err := issue(cluster.IssuingCA(), asServer,
		append(names.options(), x509.CommonName("kube-apiserver"), x509.Organization("kube-master"))...)
	if err != nil {
		return err
	}

	front, err := issue(cluster.AggregatorCA(), asClient, x509.CommonName("front-proxy-client"))
	if err != nil {
		return err
	}

	store, err := issue(cluster.Etcd().CA(), asClient, x509.CommonName("kube-apiserver-etcd-client"))
	if err != nil {
		return err
	}

	for name, pair := range map[string]*x509.PEMEncodedCertificateAndKey{
		"apiserver": server, "front-proxy-client": front, "etcd-client": store,
	} {
		if err := b.disk.writePair(pair, "run", "kubernetes", name); err != nil {
			return err
		}
	}

	account, err := cluster.ServiceAccount().GetKey()
	if err != nil {
		return err
	}

	for name, text := range map[string][]byte{
		"ca.crt":              kubernetesCAs(cluster),
		"aggregator-ca.crt":   cluster.AggregatorCA().Crt,
		"etcd-client-ca.crt":  cluster.Etcd().CA().Crt,
		"service-account.key": cluster.ServiceAccount().Key,
		"service-account.pub": account.GetPublicKeyPEM(),
	} {
		if err := b.disk.write(text, "run", "kubernetes", name); err != nil {
			return err
		}
	}

	return nil
}

// writeKubernetesPolicies writes how secrets are encrypted, what is audited, and the admission plugins' settings.
func (b *Boot) writeKubernetesPolicies() error {
	cluster := b.config().Cluster()

	var providers []any

	if key := cluster.SecretboxEncryptionSecret(); key != "" {
		providers = append(providers, map[string]any{"secretbox": keys("key2", key)})
	}

	if key := cluster.AESCBCEncryptionSecret(); key != "" {
		providers = append(providers, map[string]any{"aescbc": keys("key1", key)})
	}

	var plugins []any

	for _, plugin := range cluster.APIServer().AdmissionControl() {
		plugins = append(plugins, map[string]any{"name": plugin.Name(), "configuration": plugin.Configuration()})
	}

	audit := cluster.APIServer().AuditPolicy()
	if len(audit) == 0 {
		audit = map[string]any{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": []any{map[string]any{"level": "Metadata"}}}
	}

	for name, content := range map[string]any{
		"encryptionconfig.yaml": map[string]any{
			"apiVersion": "v1", "kind": "EncryptionConfig",
			"resources": []any{map[string]any{
				"resources": []string{"secrets"}, "providers": append(providers, map[string]any{"identity": map[string]any{}}),
			}},
		},
		"admission.yaml": map[string]any{
			"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": plugins,
		},
		"auditpolicy.yaml": audit,
	} {
		text, err := yaml.Marshal(content)
		if err != nil {
			return err
		}

		if err := b.disk.write(text, "run", "kubernetes", name); err != nil {
			return err
		}
	}

	return nil
}

func keys(name, secret string) map[string]any {
	return map[string]any{"keys": []any{map[string]any{"name": name, "secret": secret}}}
}
