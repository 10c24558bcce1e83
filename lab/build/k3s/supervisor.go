package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

// apiserverPort is where kube-apiserver listens, on loopback: everybody comes through the supervisor on 6443.
const apiserverPort = "6444"

// supervise serves 6443: what joining machines need, and for the rest kube-apiserver.
func (s *server) supervise() error {
	proxy, err := s.proxy()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.HandleFunc("/ping", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "pong") })
	mux.HandleFunc("/cacerts", s.file("tls/server-ca.crt"))
	agents := map[string]http.HandlerFunc{
		"server-ca.crt": s.file("tls/server-ca.crt"), "client-ca.crt": s.file("tls/client-ca.crt"),
		"serving-kubelet.crt": s.nodeCertificate, "client-kubelet.crt": s.nodeCertificate,
		"config": s.config, "apiservers": s.apiservers, "readyz": s.readyz,
	}
	for path, handler := range agents {
		mux.HandleFunc("/v1-k3s/"+path, s.only(handler, "k3s:agent", "system:nodes"))
	}
	if s.managed {
		mux.HandleFunc("/v1-k3s/server-bootstrap", s.only(s.bootstrap, "k3s:server"))
		mux.HandleFunc("/db/info", func(w http.ResponseWriter, r *http.Request) {
			if from, _, _ := net.SplitHostPort(r.RemoteAddr); from == "127.0.0.1" || from == "::1" {
				s.info(w, r)
			} else {
				s.only(s.info, "k3s:server")(w, r)
			}
		})
	} else {
		mux.HandleFunc("/v1-k3s/server-bootstrap", s.only(func(w http.ResponseWriter, r *http.Request) {
			logrus.Warnf("Received HTTP bootstrap request from %s, but embedded etcd is not enabled.", r.RemoteAddr)
			refuse(w, http.StatusBadRequest, "etcd disabled")
		}, "k3s:server"))
	}
	pair, err := tls.LoadX509KeyPair(s.tls.path("serving-kube-apiserver.crt"), s.tls.path("serving-kube-apiserver.key"))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(s.v.text("bind-address"), s.port))
	if err != nil {
		return err
	}
	web := &http.Server{
		Handler: mux, ReadHeaderTimeout: 30 * time.Second, ErrorLog: quietLog,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert},
	}
	go func() { logrus.Fatal(web.ServeTLS(listener, "", "")) }()
	return nil
}

// identity is who a client certificate says that somebody is.
type identity struct {
	name   string
	groups []string
}

// certified checks a client's certificate; nil when there is none.
func (s *server) certified(r *http.Request) (*identity, error) {
	if len(r.TLS.PeerCertificates) == 0 {
		return nil, nil
	}
	parent, err := s.tls.certificate("client-ca")
	if err != nil {
		return nil, err
	}
	pool, more := x509.NewCertPool(), x509.NewCertPool()
	pool.AddCert(parent)
	for _, one := range r.TLS.PeerCertificates[1:] {
		more.AddCert(one)
	}
	one := r.TLS.PeerCertificates[0]
	_, err = one.Verify(x509.VerifyOptions{
		Roots: pool, Intermediates: more, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return &identity{one.Subject.CommonName, one.Subject.Organization}, err
}

// only lets those with one of the roles pass: by the token's password, or as a node by certificate.
func (s *server) only(handler http.HandlerFunc, roles ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var groups []string
		if who, err := s.certified(r); err != nil {
			refuse(w, http.StatusUnauthorized, "not authorized")
			return
		} else if who != nil {
			groups = append(who.groups, "system:authenticated")
		}
		if user, password, given := r.BasicAuth(); given {
			wanted, role := s.password, "k3s:server"
			if user == "node" {
				wanted, role = s.agentPassword, "k3s:agent"
			}
			if (user != "node" && user != "server") || !same(password, wanted) {
				logrus.Errorf("Failed to authenticate request from %s: invalid username/password combination", r.RemoteAddr)
				refuse(w, http.StatusUnauthorized, "not authorized")
				return
			}
			groups = append(groups, role)
		}
		if !slices.ContainsFunc(roles, func(role string) bool { return slices.Contains(groups, role) }) {
			refuse(w, http.StatusForbidden, "forbidden")
			return
		}
		handler(w, r)
	}
}

// refuse answers as Kubernetes does.
func refuse(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Failure",
		"message": message, "reason": strings.ReplaceAll(http.StatusText(code), " ", ""), "code": code,
	})
}

func (s *server) file(path string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		data, err := os.ReadFile(s.dir + "/" + path)
		if err != nil {
			refuse(w, http.StatusInternalServerError, err.Error())
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(data)
	}
}

func (s *server) bootstrap(w http.ResponseWriter, _ *http.Request) {
	data, err := readBootstrap(s.dir)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	_, _ = w.Write(data)
}

// info lists etcd's members; of a cluster that does not answer only this one.
func (s *server) info(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.members(ctx))
}

func (s *server) apiservers(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	addresses := []string{}
	for _, one := range s.members(ctx).Members {
		if !one.IsLearner && len(one.ClientURLs) > 0 {
			addresses = append(addresses, hostPort(host(one.ClientURLs), s.port))
		}
	}
	_ = json.NewEncoder(w).Encode(addresses)
}

func (s *server) config(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(s.critical())
}

func (s *server) readyz(w http.ResponseWriter, _ *http.Request) {
	if !s.ready.Load() {
		refuse(w, http.StatusServiceUnavailable, "runtime core not ready")
		return
	}
	fmt.Fprint(w, "ok")
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var gitVersion = regexp.MustCompile(`"gitVersion": *"[^"]*"`)

// proxy hands requests to kube-apiserver. It trusts us to say who the client is, since TLS ends here.
func (s *server) proxy() (http.Handler, error) {
	secure, err := s.tls.tls("client-auth-proxy", "server-ca")
	if err != nil {
		return nil, err
	}
	plain, err := s.tls.tls("", "server-ca")
	if err != nil {
		return nil, err
	}
	// HTTP/1.1, which upgrades need. With our certificate only where we vouch for somebody.
	vouching := &http.Transport{TLSClientConfig: secure, MaxIdleConnsPerHost: 50, IdleConnTimeout: time.Minute}
	passing := &http.Transport{TLSClientConfig: plain, MaxIdleConnsPerHost: 50, IdleConnTimeout: time.Minute}
	to := &url.URL{Scheme: "https", Host: "127.0.0.1:" + apiserverPort}
	proxy := &httputil.ReverseProxy{
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("X-Remote-User") != "" {
				return vouching.RoundTrip(r)
			}
			return passing.RoundTrip(r)
		}),
		FlushInterval: -1, ErrorLog: quietLog,
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			refuse(w, http.StatusServiceUnavailable, "apiserver not ready")
		},
		ModifyResponse: func(answer *http.Response) error {
			if answer.Request.URL.Path != "/version" || answer.StatusCode != http.StatusOK {
				return nil
			}
			data, err := io.ReadAll(answer.Body)
			if err != nil {
				return err
			}
			data = gitVersion.ReplaceAll(data, fmt.Appendf(nil, `"gitVersion": %q`, s.own.version))
			answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
			answer.Header.Set("Content-Length", fmt.Sprint(len(data)))
			return nil
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.certified(r)
		if err != nil {
			refuse(w, http.StatusUnauthorized, "Unauthorized")
			return
		}
		for name := range r.Header {
			if strings.HasPrefix(name, "X-Remote-") {
				r.Header.Del(name)
			}
		}
		if who != nil {
			r.Header.Del("Authorization")
			r.Header.Set("X-Remote-User", who.name)
			for _, group := range who.groups {
				r.Header.Add("X-Remote-Group", group)
			}
		}
		if r.URL.Path == "/version" {
			r.Header.Del("Accept-Encoding")
		}
		proxy.ServeHTTP(w, r)
	}), nil
}
