package main

import (
	stdlib "crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/siderolabs/crypto/x509"
)

const (
	certificateLife = 365 * 24 * time.Hour
	// Machines' clocks may differ by this.
	skew = 10 * time.Second
)

// Names are what a server is called.
type Names struct {
	addresses []netip.Addr
	dns       []string
}

func (n Names) options() []x509.Option {
	var addresses []net.IP

	for _, address := range n.addresses {
		addresses = append(addresses, address.AsSlice())
	}

	return []x509.Option{x509.IPAddresses(addresses), x509.DNSNames(n.dns)}
}

// with adds names, each an address or a DNS name.
func (n Names) with(names ...string) Names {
	for _, name := range names {
		if address, err := netip.ParseAddr(name); err == nil {
			n.addresses = append(n.addresses[:len(n.addresses):len(n.addresses)], address)
		} else if name != "" {
			n.dns = append(n.dns[:len(n.dns):len(n.dns)], name)
		}
	}

	return n
}

var (
	asServer = []stdlib.ExtKeyUsage{stdlib.ExtKeyUsageServerAuth}
	asClient = []stdlib.ExtKeyUsage{stdlib.ExtKeyUsageClientAuth}
	asBoth   = []stdlib.ExtKeyUsage{stdlib.ExtKeyUsageServerAuth, stdlib.ExtKeyUsageClientAuth}
)

// issue makes a certificate of a configuration's authority. x509 is the library that Talos issues with: it reads
// its keys, which are labelled "ED25519 PRIVATE KEY".
func issue(authority *x509.PEMEncodedCertificateAndKey, usage []stdlib.ExtKeyUsage, options ...x509.Option) (*x509.PEMEncodedCertificateAndKey, error) {
	if authority == nil || len(authority.Key) == 0 {
		return nil, fmt.Errorf("the configuration has no key of this authority")
	}

	ca, err := x509.NewCertificateAuthorityFromCertificateAndKey(authority)
	if err != nil {
		return nil, err
	}

	options = append([]x509.Option{
		x509.NotBefore(time.Now().Add(-skew)),
		x509.NotAfter(time.Now().Add(certificateLife)),
		x509.KeyUsage(stdlib.KeyUsageDigitalSignature | stdlib.KeyUsageKeyEncipherment),
		x509.ExtKeyUsage(usage),
	}, options...)

	pair, err := x509.NewKeyPair(ca, options...)
	if err != nil {
		return nil, err
	}

	return x509.NewCertificateAndKeyFromKeyPair(pair), nil
}
