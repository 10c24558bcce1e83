package main

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	stdlib "crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log"
	"net"
	"slices"
	"time"

	"github.com/siderolabs/crypto/x509"
	"github.com/siderolabs/talos/pkg/machinery/api/security"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Trust signs the certificates of workers that know the machine token.
type Trust struct {
	security.UnimplementedSecurityServiceServer

	boot *Boot
}

func (b *Boot) serveTrust(ctx context.Context) error {
	certificate, err := issue(b.config().Machine().Security().IssuingCA(), asServer, b.names().options()...)
	if err != nil {
		return err
	}

	pair, err := tls.X509KeyPair(certificate.Crt, relabelled(certificate.Key))
	if err != nil {
		return err
	}

	listener, err := net.Listen("tcp", b.listenAddress(constants.TrustdPort))
	if err != nil {
		return err
	}

	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})))
	security.RegisterSecurityServiceServer(server, &Trust{boot: b})
	context.AfterFunc(ctx, server.Stop)
	b.services.set("trustd", "Running", true, "Health check successful")

	go server.Serve(listener) //nolint:errcheck // it ends by Stop

	return nil
}

func (t *Trust) Certificate(ctx context.Context, in *security.CertificateRequest) (*security.CertificateResponse, error) {
	given, _ := metadata.FromIncomingContext(ctx)
	token := append(given.Get("token"), "")[0]

	if subtle.ConstantTimeCompare([]byte(token), []byte(t.boot.config().Machine().Security().Token())) != 1 {
		return nil, status.Error(codes.Unauthenticated, "invalid token")
	}

	authority := t.boot.config().Machine().Security().IssuingCA()

	signed, err := x509.NewCertificateFromCSRBytes(authority.Crt, authority.Key, in.Csr,
		x509.KeyUsage(stdlib.KeyUsageDigitalSignature), x509.ExtKeyUsage(asServer),
		x509.NotAfter(time.Now().Add(certificateLife)), x509.OverrideSubject(func(name *pkix.Name) { name.Organization = nil }))
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "failed to sign CSR: %s", err)
	}

	return &security.CertificateResponse{Ca: authority.Crt, Crt: signed.X509CertificatePEM}, nil
}

// requestCertificate asks the control plane nodes, one after the other, to sign the certificate of a worker's API.
func (b *Boot) requestCertificate() (*x509.PEMEncodedCertificateAndKey, error) {
	request, pair, err := x509.NewEd25519CSRAndIdentity(b.names().options()...)
	if err != nil {
		return nil, err
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	failed := errors.New("no control plane node is known")

	for _, address := range b.controlPlanes(ctx) {
		answer, err := b.askTrust(ctx, address, request.X509CertificateRequestPEM)
		if err == nil {
			pair.Crt = answer.Crt

			return pair, nil
		}

		failed = fmt.Errorf("%s signs no certificate: %w", address, err)
	}

	log.Print(failed)

	return nil, failed
}

func (b *Boot) askTrust(ctx context.Context, address string, request []byte) (*security.CertificateResponse, error) {
	config := &tls.Config{RootCAs: b.authorities(), MinVersion: tls.VersionTLS13}

	connection, err := grpc.NewClient(fmt.Sprintf("%s:%d", bracketed(address), constants.TrustdPort), grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		return nil, err
	}
	defer connection.Close()

	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "token", b.config().Machine().Security().Token()), 3*time.Second)
	defer cancel()

	return security.NewSecurityServiceClient(connection).Certificate(ctx, &security.CertificateRequest{Csr: request})
}

// controlPlanes are the addresses of the control plane nodes: that of the cluster's endpoint, as Talos takes it, and
// those that Kubernetes knows. Talos has the others from its discovery service in the internet.
func (b *Boot) controlPlanes(ctx context.Context) []string {
	var found []string

	if host := b.config().Cluster().Endpoint().Hostname(); host != "" {
		addresses, err := net.DefaultResolver.LookupHost(ctx, host)
		if err == nil {
			found = append(found, addresses...)
		}
	}

	if known, err := b.apiServers(ctx); err == nil {
		for _, address := range known {
			if !slices.Contains(found, address) {
				found = append(found, address)
			}
		}
	}

	return found
}
