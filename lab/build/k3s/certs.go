package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
)

// The authorities of a cluster, the same on all its servers.
var authorities = map[string]string{
	"server-ca": "k3s-server-ca", "client-ca": "k3s-client-ca", "request-header-ca": "k3s-request-header-ca",
	"etcd/server-ca": "etcd-server", "etcd/peer-ca": "etcd-peer",
}

// K3s makes new certificates of those that have fewer days left, and only when it starts.
const renewBefore = 90 * 24 * time.Hour

// pki is the folder of certificates and keys, server/tls; agents have none of the authorities' keys.
type pki string

func (p pki) path(name string) string { return filepath.Join(string(p), name) }

// leaf is a certificate that a server makes for itself.
type leaf struct {
	name, authority string
	subject         pkix.Name
	usages          []x509.ExtKeyUsage
	names           []string // DNS names and addresses
}

var (
	forServer = x509.ExtKeyUsageServerAuth
	forClient = x509.ExtKeyUsageClientAuth
)

func subject(name string, groups ...string) pkix.Name {
	return pkix.Name{CommonName: name, Organization: groups}
}

// leaves are all certificates of a server whose API has these names, and whose etcd those.
func leaves(names, etcd []string) []leaf {
	client := func(name, user string, groups ...string) leaf {
		return leaf{name, "client-ca", subject(user, groups...), []x509.ExtKeyUsage{forClient}, nil}
	}
	both := []x509.ExtKeyUsage{forServer, forClient}
	return []leaf{
		{"serving-kube-apiserver", "server-ca", subject("k3s", "k3s"), []x509.ExtKeyUsage{forServer}, names},
		client("client-admin", "system:admin", "system:masters"),
		client("client-controller", "system:kube-controller-manager"),
		client("client-scheduler", "system:kube-scheduler"),
		{"client-auth-proxy", "request-header-ca", subject("system:auth-proxy"), []x509.ExtKeyUsage{forClient}, nil},
		{"etcd/client", "etcd/server-ca", subject("etcd-client"), []x509.ExtKeyUsage{forClient}, nil},
		{"etcd/server-client", "etcd/server-ca", subject("etcd-server"), both, etcd},
		{"etcd/peer-server-client", "etcd/peer-ca", subject("etcd-peer"), both, etcd},
	}
}

// write makes what is missing, what ends soon, and what has other names than asked for.
func (p pki) write(names, etcd []string) error {
	if err := os.MkdirAll(p.path("etcd"), 0o700); err != nil {
		return err
	}
	for name, common := range authorities {
		if err := p.authority(name, common); err != nil {
			return err
		}
	}
	for _, one := range leaves(names, etcd) {
		if err := p.leaf(one); err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
	}
	if _, err := p.key("service"); err != nil {
		return err
	}
	return nil
}

func (p pki) authority(name, common string) error {
	if _, err := os.Stat(p.path(name + ".crt")); err == nil {
		return nil
	}
	key, err := p.key(name)
	if err != nil {
		return err
	}
	template := certificate(subject(fmt.Sprintf("%s@%d", common, time.Now().Unix())), 3650)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	return replace(p.path(name+".crt"), encode("CERTIFICATE", der), 0o644)
}

func (p pki) leaf(one leaf) error {
	parent, err := p.certificate(one.authority)
	if err != nil {
		return err
	}
	// A restored cluster has other authorities than the new machine had made before.
	current, err := p.certificate(one.name)
	fits := err == nil && current.CheckSignatureFrom(parent) == nil
	if fits && time.Until(current.NotAfter) > renewBefore {
		if one.names == nil || slices.Equal(namesOf(current), sorted(one.names)) {
			return nil
		}
	} else if fits {
		logrus.Infof("certificate %s ends %s: renewed", current.Subject, current.NotAfter.Format(time.RFC3339))
	}
	key, err := p.key(one.name)
	if err != nil {
		return err
	}
	signed, err := p.sign(one, key.Public())
	if err != nil {
		return err
	}
	return replace(p.path(one.name+".crt"), signed, 0o644)
}

// sign gives the certificate and its authority's, in PEM.
func (p pki) sign(one leaf, public any) ([]byte, error) {
	parent, err := p.certificate(one.authority)
	if err != nil {
		return nil, err
	}
	key, err := p.key(one.authority)
	if err != nil {
		return nil, err
	}
	template := certificate(one.subject, 365)
	template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	template.ExtKeyUsage = one.usages
	for _, name := range one.names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return append(encode("CERTIFICATE", der), encode("CERTIFICATE", parent.Raw)...), nil
}

func certificate(name pkix.Name, days int) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 62))
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: name, NotBefore: now.Add(-time.Minute), NotAfter: now.AddDate(0, 0, days),
	}
}

// key reads a private key, or makes it.
func (p pki) key(name string) (*ecdsa.PrivateKey, error) {
	if data, err := os.ReadFile(p.path(name + ".key")); err == nil {
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "EC PRIVATE KEY" {
				return x509.ParseECPrivateKey(block.Bytes)
			}
		}
		return nil, fmt.Errorf("%s holds no EC key", p.path(name+".key"))
	} else if !os.IsNotExist(err) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, replace(p.path(name+".key"), encode("EC PRIVATE KEY", der), 0o600)
}

func (p pki) certificate(name string) (*x509.Certificate, error) {
	data, err := os.ReadFile(p.path(name + ".crt"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no certificate", p.path(name+".crt"))
	}
	return x509.ParseCertificate(block.Bytes)
}

// tls is for a client with this certificate of servers of this authority; the name is empty for none.
func (p pki) tls(name, authority string) (*tls.Config, error) {
	data, err := os.ReadFile(p.path(authority + ".crt"))
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(data)
	if name != "" {
		pair, err := tls.LoadX509KeyPair(p.path(name+".crt"), p.path(name+".key"))
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func namesOf(one *x509.Certificate) []string {
	names := slices.Clone(one.DNSNames)
	for _, ip := range one.IPAddresses {
		names = append(names, ip.String())
	}
	return sorted(names)
}

func sorted(names []string) []string {
	names = slices.Clone(names)
	for i, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			names[i] = ip.String()
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func encode(kind string, der []byte) []byte {
	var data bytes.Buffer
	_ = pem.Encode(&data, &pem.Block{Type: kind, Bytes: der})
	return data.Bytes()
}

// replace writes a file whole or not at all.
func replace(path string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	_ = os.Remove(path + ".new")
	if err := os.WriteFile(path+".new", data, mode); err != nil {
		return err
	}
	if err := os.Chmod(path+".new", mode); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
