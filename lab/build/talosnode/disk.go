package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
)

// Disk is the folder that stands for the machine's disk: state/ is Talos' partition STATE, var/ EPHEMERAL,
// meta.json META. run/ stands for memory: it is emptied at each boot.
type Disk struct {
	root  string
	image string // the release that a new disk holds
}

// Meta is what survives a boot beside the configuration.
type Meta struct {
	Version string `json:"version"`
	Blank   bool   `json:"blank"` // wiped whole: nothing on it boots any more
}

func (d Disk) path(parts ...string) string {
	return filepath.Join(append([]string{d.root}, parts...)...)
}

func (d Disk) etcd() string { return d.path("var", "lib", "etcd") }

// snapshot is where one of etcd is kept between its upload and the bootstrap from it.
func (d Disk) snapshot() string { return d.path("var", "lib", "etcd.snapshot") }

func (d Disk) prepare() error {
	if err := os.RemoveAll(d.path("run")); err != nil {
		return err
	}

	for _, folder := range []string{"state", "run", "var/lib/kubelet", "var/log/audit"} {
		if err := os.MkdirAll(d.path(folder), 0o700); err != nil {
			return err
		}
	}

	return os.MkdirAll(d.etcd(), 0o700)
}

func (d Disk) meta() Meta {
	found := Meta{Version: d.image}

	if text, err := os.ReadFile(d.path("meta.json")); err == nil {
		_ = json.Unmarshal(text, &found)
	}

	return found
}

func (d Disk) setMeta(meta Meta) error {
	text, err := json.Marshal(meta)
	if err != nil {
		return err
	}

	return d.write(text, "meta.json")
}

// config is the configuration that the next boot takes; nil before there is one.
func (d Disk) config() (config.Provider, error) {
	text, err := os.ReadFile(d.path("state", "config.yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}

	return configloader.NewFromBytes(text)
}

func (d Disk) setConfig(provider config.Provider) error {
	text, err := provider.Bytes()
	if err != nil {
		return err
	}

	return d.write(text, "state", "config.yaml")
}

// write replaces a file that only root may read.
func (d Disk) write(text []byte, parts ...string) error {
	path := d.path(parts...)

	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}

	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}

	return os.Rename(path+".new", path)
}

// wipe empties partitions by their labels; without labels, the whole disk, which nothing boots from any more.
func (d Disk) wipe(labels []string) error {
	places := map[string]string{"STATE": "state", "EPHEMERAL": "var", "META": "meta.json"}
	all := len(labels) == 0

	if all {
		labels = []string{"STATE", "EPHEMERAL", "META"}
	}

	for _, label := range labels {
		if err := os.RemoveAll(d.path(places[label])); err != nil {
			return err
		}
	}

	if all {
		return d.setMeta(Meta{Blank: true})
	}

	return nil
}
