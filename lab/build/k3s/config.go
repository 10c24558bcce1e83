package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"
	"sigs.k8s.io/yaml"
)

// What a flag of `k3s server` or `k3s agent` takes.
type kind int

const (
	boolean kind = iota
	text
	list
)

type flag struct {
	kind  kind
	agent bool // `k3s agent` has it too
	env   string
}

// The flags of K3s that mean something here, and those that people often set and that have no effect without a
// kubelet. Any other is refused, so that a misspelt one shows up in the lab.
var flags = map[string]flag{
	"token": {text, true, "K3S_TOKEN"}, "token-file": {text, true, "K3S_TOKEN_FILE"},
	"agent-token": {text, false, "K3S_AGENT_TOKEN"}, "agent-token-file": {text, false, "K3S_AGENT_TOKEN_FILE"},
	"server": {text, true, "K3S_URL"}, "cluster-init": {boolean, false, "K3S_CLUSTER_INIT"},
	"cluster-reset": {boolean, false, ""}, "cluster-reset-restore-path": {text, false, ""},
	"data-dir": {text, true, "K3S_DATA_DIR"}, "debug": {boolean, true, ""},
	"tls-san": {list, false, ""}, "https-listen-port": {text, false, ""}, "bind-address": {text, true, ""},
	"advertise-address": {text, false, ""},
	"write-kubeconfig":  {text, false, "K3S_KUBECONFIG_OUTPUT"}, "write-kubeconfig-group": {text, false, ""},
	"write-kubeconfig-mode": {text, false, "K3S_KUBECONFIG_MODE"},
	"node-name":             {text, true, "K3S_NODE_NAME"}, "node-ip": {list, true, ""}, "node-external-ip": {list, true, ""},
	"node-label": {list, true, ""}, "node-taint": {list, true, ""}, "with-node-id": {boolean, true, ""},
	"cluster-cidr": {list, false, ""}, "service-cidr": {list, false, ""}, "cluster-dns": {list, false, ""},
	"cluster-domain": {text, false, ""}, "flannel-backend": {text, false, ""}, "flannel-iface": {text, true, ""},
	"disable": {list, false, ""}, "disable-helm-controller": {boolean, false, ""},
	"disable-network-policy": {boolean, false, ""}, "disable-cloud-controller": {boolean, false, ""},
	"disable-kube-proxy": {boolean, false, ""}, "secrets-encryption": {boolean, false, ""},
	"default-local-storage-path": {text, false, ""}, "embedded-registry": {boolean, false, ""},
	"etcd-snapshot-schedule-cron": {text, false, ""}, "etcd-snapshot-retention": {text, false, ""},
	"etcd-snapshot-dir": {text, false, ""}, "etcd-snapshot-name": {text, false, ""},
	"etcd-disable-snapshots": {boolean, false, ""}, "etcd-expose-metrics": {boolean, false, ""},
	"etcd-arg": {list, false, ""}, "kube-apiserver-arg": {list, false, ""},
	"kube-controller-manager-arg": {list, false, ""}, "kube-scheduler-arg": {list, false, ""},
	"kubelet-arg": {list, true, ""}, "kube-proxy-arg": {list, true, ""}, "private-registry": {text, true, ""},
	"resolv-conf": {text, true, ""}, "protect-kernel-defaults": {boolean, true, ""}, "selinux": {boolean, true, ""},
}

// values are the settings of one start by flag name: the command line's, else the environment's, else config.yaml's.
type values map[string][]string

func (v values) text(name string) string {
	if all := v[name]; len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

func (v values) or(name, otherwise string) string {
	if given := v.text(name); given != "" {
		return given
	}
	return otherwise
}

func (v values) is(name string) bool { return v.text(name) == "true" }

// list is what was given, repeated or separated by commas.
func (v values) list(name string) []string {
	var all []string
	for _, value := range v[name] {
		for _, item := range strings.Split(value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				all = append(all, item)
			}
		}
	}
	return all
}

// arguments reads what follows `k3s server` or `k3s agent`.
func arguments(command string, args []string) (values, error) {
	given := values{}
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		name, value, assigned := strings.Cut(strings.TrimLeft(word, "-"), "=")
		known, found := flags[alias(name)]
		if !strings.HasPrefix(word, "-") || !found || (command == "agent" && !known.agent) {
			return nil, fmt.Errorf("flag provided but not defined: %s", strings.SplitN(word, "=", 2)[0])
		}
		switch {
		case known.kind == boolean && !assigned:
			value = "true"
		case !assigned && len(args) == 0:
			return nil, fmt.Errorf("flag needs an argument: %s", word)
		case !assigned:
			value, args = args[0], args[1:]
		}
		if value == "" {
			return nil, fmt.Errorf("flag needs an argument: %s", strings.SplitN(word, "=", 2)[0])
		}
		given[alias(name)] = append(given[alias(name)], value)
	}
	return given, nil
}

// alias gives the long name of the short ones of K3s.
func alias(name string) string {
	if long, ok := map[string]string{"t": "token", "s": "server", "d": "data-dir"}[name]; ok {
		return long
	}
	return name
}

// configFiles reads /etc/rancher/k3s/config.yaml and config.yaml.d. A key of the other command is passed over, as K3s
// does; one that neither has is an error here, while K3s says so in its log and goes on.
func configFiles(command string) (values, error) {
	given := values{}
	more, _ := filepath.Glob(configFile + ".d/*.y*ml")
	for _, path := range append([]string{configFile}, more...) {
		data, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		content := map[string]any{}
		if err := yaml.Unmarshal(data, &content); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for key, value := range content {
			name, adds := strings.CutSuffix(alias(key), "+")
			known, found := flags[name]
			if !found {
				return nil, fmt.Errorf("%s: the stand-in does not know %s", path, key)
			}
			if command == "agent" && !known.agent {
				logrus.Warnf("Unknown flag --%s found in %s, skipping", name, path)
				continue
			}
			if !adds {
				given[name] = nil
			}
			if items, ok := value.([]any); ok {
				for _, item := range items {
					given[name] = append(given[name], fmt.Sprint(item))
				}
			} else if value != nil {
				given[name] = append(given[name], scalar(value))
			}
		}
	}
	return given, nil
}

// scalar is a value of a YAML file as a word; numbers arrive as floats.
func scalar(value any) string {
	if number, ok := value.(float64); ok && number == float64(int64(number)) {
		return fmt.Sprint(int64(number))
	}
	return fmt.Sprint(value)
}

// configured gives all settings of one start.
func configured(command string, args []string) (values, error) {
	all, err := configFiles(command)
	if err != nil {
		return nil, err
	}
	for name, known := range flags {
		if value := os.Getenv(known.env); known.env != "" && value != "" && (known.agent || command == "server") {
			all[name] = []string{value}
		}
	}
	given, err := arguments(command, args)
	if err != nil {
		return nil, err
	}
	for name, value := range given {
		all[name] = value
	}
	return all, nil
}

// nodeAddress is --node-ip, else the address from which this machine would reach others.
func nodeAddress(v values) (string, error) {
	if given := v.list("node-ip"); len(given) > 0 {
		return given[0], nil
	}
	// Nothing is sent: the kernel only chooses.
	if conn, err := net.Dial("udp", "192.0.2.1:9"); err == nil {
		defer conn.Close()
		return conn.LocalAddr().(*net.UDPAddr).IP.String(), nil
	}
	for _, address := range localAddresses() {
		if ip := net.ParseIP(address); ip.To4() != nil && !ip.IsLoopback() {
			return address, nil
		}
	}
	return "", errors.New("no default routes found and no address on any card; give --node-ip")
}

func localAddresses() []string {
	var all []string
	addresses, _ := net.InterfaceAddrs()
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && !network.IP.IsLinkLocalUnicast() {
			all = append(all, network.IP.String())
		}
	}
	slices.Sort(all)
	return all
}

func nodeName(v values) (string, error) {
	name, err := os.Hostname()
	return strings.ToLower(v.or("node-name", name)), err
}

// token is --token or what is in --token-file.
func (v values) token(name string) (string, error) {
	if given := v.text(name); given != "" {
		return given, nil
	}
	path := v.text(name + "-file")
	if path == "" {
		return "", nil
	}
	data, err := os.ReadFile(path)
	return strings.TrimSpace(string(data)), err
}
