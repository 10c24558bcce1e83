package main

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

// access is how a joining machine reaches a cluster: the token's parts and what the server showed.
type access struct {
	url      string
	user     string
	password string
	ca       []byte // PEM
}

func random(bytes int) string {
	data := make([]byte, bytes)
	_, _ = rand.Read(data)
	return hex.EncodeToString(data)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// split takes a token apart: K10<hash of the CA>::<user>:<password>, or a password alone.
func split(token string) (hash, user, password string, err error) {
	if token == "" {
		return "", "", "", errors.New("token must not be empty")
	}
	if !strings.HasPrefix(token, "K10") {
		return "", "", token, nil
	}
	hash, credentials, found := strings.Cut(strings.TrimPrefix(token, "K10"), "::")
	if !found {
		hash, credentials = "", hash
	}
	if hash != "" && len(hash) != 64 {
		return "", "", "", errors.New("invalid token CA hash length")
	}
	user, password, found = strings.Cut(credentials, ":")
	if !found || password == "" {
		return "", "", "", errors.New("invalid token format")
	}
	return hash, user, password, nil
}

// trusted reads the authority of the server at this address and compares it with the token's.
func trusted(server, token, user string) (access, error) {
	hash, _, password, err := split(token)
	if err != nil {
		return access{}, err
	}
	address, err := url.Parse(server)
	if err != nil || address.Scheme != "https" {
		return access{}, fmt.Errorf("only https:// URLs are supported, invalid scheme: %s", server)
	}
	to := access{url: strings.TrimRight(server, "/"), user: user, password: password}
	anybody := &http.Client{
		Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}
	answer, err := anybody.Get(to.url + "/cacerts")
	if err != nil {
		return access{}, fmt.Errorf("failed to get CA certs: %w", err)
	}
	defer answer.Body.Close()
	to.ca, err = io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil || answer.StatusCode != http.StatusOK {
		return access{}, fmt.Errorf("failed to get CA certs: %s/cacerts: %s", to.url, answer.Status)
	}
	if _, err := to.get("/cacerts", nil); err != nil {
		return access{}, fmt.Errorf("CA cert validation failed: %w", err)
	}
	if hash == "" {
		logrus.Warn("Cluster CA certificate is not trusted by the host CA bundle, but the token does not include a CA hash. " +
			"Use the full token from the server's node-token file to enable Cluster CA validation.")
	} else if shown := digest(to.ca); shown != hash {
		return access{}, fmt.Errorf("token CA hash does not match the Cluster CA certificate hash: %s != %s", hash, shown)
	}
	return to, nil
}

// get asks the supervisor of a server. A refusal is an error with the server's words.
func (a access) get(path string, headers map[string]string) ([]byte, error) {
	return a.request(http.MethodGet, path, headers, nil)
}

func (a access) request(method, path string, headers map[string]string, body io.Reader) ([]byte, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.ca)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool},
	}}
	request, err := http.NewRequest(method, a.url+path, body)
	if err != nil {
		return nil, err
	}
	request.SetBasicAuth(a.user, a.password)
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, 8<<20))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusForbidden && headers["K3s-Node-Password"] != "" {
		return nil, fmt.Errorf("%s: Node password rejected, duplicate hostname or contents of '%s' may not match "+
			"server node-passwd entry, try enabling a unique node name with the --with-node-id flag", path, passwordFile)
	}
	if answer.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s%s: %s", a.url, path, answer.Status)
	}
	return data, nil
}

// writeTokens leaves the full tokens where K3s leaves them: token, and node-token and agent-token as links to it.
func writeTokens(server, password, agent string, ca []byte) error {
	full := func(user, password string) []byte {
		return fmt.Appendf(nil, "K10%s::%s:%s\n", digest(ca), user, password)
	}
	path := func(name string) string { return filepath.Join(server, name) }
	if err := replace(path("token"), full("server", password), 0o600); err != nil {
		return err
	}
	for _, name := range []string{"node-token", "agent-token"} {
		_ = os.Remove(path(name))
		var err error
		if name == "agent-token" && agent != password {
			err = replace(path(name), full("node", agent), 0o600)
		} else {
			err = os.Symlink(path("token"), path(name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
