package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/siderolabs/crypto/x509"
	"github.com/siderolabs/talos/pkg/machinery/config/config"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

var quiet = zap.NewNop()

// adminKubeconfig is what `talosctl kubeconfig` gets: a certificate for administrators, made by the cluster's
// authority each time.
func adminKubeconfig(cluster config.ClusterConfig, server string) ([]byte, error) {
	settings := cluster.AdminKubeconfig()

	pair, err := issue(cluster.IssuingCA(), asClient,
		x509.CommonName(settings.CommonName()), x509.Organization(settings.CertOrganization()),
		x509.NotAfter(time.Now().Add(settings.CertLifetime())))
	if err != nil {
		return nil, err
	}

	user, context := "admin@"+cluster.Name(), "admin@"+cluster.Name()

	return clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{cluster.Name(): {Server: server, CertificateAuthorityData: kubernetesCAs(cluster)}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{user: {ClientCertificateData: pair.Crt, ClientKeyData: pair.Key}},
		Contexts:       map[string]*clientcmdapi.Context{context: {Cluster: cluster.Name(), Namespace: "default", AuthInfo: user}},
		CurrentContext: context,
	})
}

func kubernetesCAs(cluster config.ClusterConfig) []byte {
	var found []byte

	for _, accepted := range cluster.AcceptedCAs() {
		found = append(found, accepted.Crt...)
	}

	if issuing := cluster.IssuingCA(); issuing != nil {
		found = append(found, issuing.Crt...)
	}

	return found
}

// settings of a client of kube-apiserver at an address, without credentials.
func (b *Boot) settings(server string) *rest.Config {
	return &rest.Config{
		Host: server, Timeout: 10 * time.Second, QPS: 50, Burst: 100,
		WarningHandler:  rest.NoWarnings{},
		TLSClientConfig: rest.TLSClientConfig{CAData: kubernetesCAs(b.config().Cluster())},
	}
}

// admin is a client with all rights, which only a control plane node can make.
func (b *Boot) admin(server string) (*kubernetes.Clientset, error) {
	pair, err := issue(b.config().Cluster().IssuingCA(), asClient,
		x509.CommonName("talos:admin"), x509.Organization("system:masters"))
	if err != nil {
		return nil, err
	}

	settings := b.settings(server)
	settings.CertData, settings.KeyData = pair.Crt, pair.Key

	return kubernetes.NewForConfig(settings)
}

// own is the address of the kube-apiserver of this node.
func (b *Boot) own() string {
	return b.url(b.config().Cluster().LocalAPIServerPort())
}

func (b *Boot) endpoint() string {
	return b.config().Cluster().Endpoint().String()
}

// apiServers are the addresses at which kube-apiservers run, as these have written them into the cluster.
func (b *Boot) apiServers(ctx context.Context) ([]string, error) {
	servers := []string{b.endpoint()}

	// The client of this node's own server knows the cluster even where the endpoint does not answer.
	if b.isControlPlane() {
		servers = []string{b.own(), b.endpoint()}
	}

	var failures []error

	for _, server := range servers {
		client, err := b.reader(server)
		if err != nil {
			failures = append(failures, err)

			continue
		}

		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		//nolint:staticcheck // Talos reads these too
		endpoints, err := client.CoreV1().Endpoints("default").Get(limited, "kubernetes", metav1.GetOptions{})

		cancel()

		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", server, err))

			continue
		}

		var found []string

		for _, subset := range endpoints.Subsets {
			for _, address := range subset.Addresses {
				found = append(found, address.IP)
			}
		}

		slices.Sort(found)

		return found, nil
	}

	return nil, errors.Join(failures...)
}

// reader is a client that may read the addresses of the kube-apiservers: a worker has only its bootstrap token.
func (b *Boot) reader(server string) (*kubernetes.Clientset, error) {
	if b.isControlPlane() {
		return b.admin(server)
	}

	settings := b.settings(server)
	settings.BearerToken = b.bootstrapToken()

	return kubernetes.NewForConfig(settings)
}

func (b *Boot) bootstrapToken() string {
	token := b.config().Cluster().Token()

	return token.ID() + "." + token.Secret()
}
