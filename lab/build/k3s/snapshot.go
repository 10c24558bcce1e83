package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/sirupsen/logrus"
)

func (s *server) snapshotDir() string {
	return s.v.or("etcd-snapshot-dir", filepath.Join(s.dir, "db", "snapshots"))
}

// saveSnapshot writes a snapshot of etcd and gives its name.
func (s *server) saveSnapshot(ctx context.Context, prefix string) (string, error) {
	status, err := s.client.Status(ctx, s.endpoint())
	if err != nil {
		return "", fmt.Errorf("failed to check etcd status for snapshot: %w", err)
	}
	if status.IsLearner {
		return "", errors.New("failed to take etcd snapshot: not supported for learner")
	}
	if err := os.MkdirAll(s.snapshotDir(), 0o700); err != nil {
		return "", err
	}
	name := fmt.Sprintf("%s-%s-%d", prefix, s.name, time.Now().Unix())
	path := filepath.Join(s.snapshotDir(), name)
	logrus.Infof("Saving etcd snapshot to %s", path)
	source, err := s.client.Snapshot(ctx)
	if err != nil {
		return "", err
	}
	defer source.Close()
	file, err := os.OpenFile(path+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if _, err := io.Copy(file, source); err != nil {
		return "", err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return "", err
	}
	return name, os.Rename(path+".part", path)
}

// snapshots are the files of the folder, the oldest first.
func (s *server) snapshots() ([]os.FileInfo, error) {
	entries, err := os.ReadDir(s.snapshotDir())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var found []os.FileInfo
	for _, entry := range entries {
		if information, err := entry.Info(); err == nil && !entry.IsDir() && !strings.HasSuffix(entry.Name(), ".part") {
			found = append(found, information)
		}
	}
	slices.SortFunc(found, func(a, b os.FileInfo) int { return cmp.Compare(a.ModTime().UnixNano(), b.ModTime().UnixNano()) })
	return found, nil
}

// prune leaves the newest ones of a name.
func (s *server) prune(prefix string, keep int) error {
	all, err := s.snapshots()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(one os.FileInfo) bool { return !strings.HasPrefix(one.Name(), prefix+"-"+s.name+"-") })
	for len(all) > keep {
		logrus.Infof("Removing local snapshot file: %s", all[0].Name())
		if err := os.Remove(filepath.Join(s.snapshotDir(), all[0].Name())); err != nil {
			return err
		}
		all = all[1:]
	}
	return nil
}

func (s *server) retention() (int, error) {
	keep, err := strconv.Atoi(s.v.or("etcd-snapshot-retention", "5"))
	if err != nil {
		return 0, fmt.Errorf("--etcd-snapshot-retention: %w", err)
	}
	return keep, nil
}

// scheduleSnapshots saves one at the times of the schedule, for as long as the server runs.
func (s *server) scheduleSnapshots(ctx context.Context) error {
	if s.v.is("etcd-disable-snapshots") {
		return nil
	}
	keep, err := s.retention()
	if err != nil {
		return err
	}
	prefix := s.v.or("etcd-snapshot-name", "etcd-snapshot")
	schedule := cron.New()
	if _, err := schedule.AddFunc(s.v.or("etcd-snapshot-schedule-cron", "0 */12 * * *"), func() {
		if _, err := s.saveSnapshot(ctx, prefix); err != nil {
			logrus.Errorf("Failed to save scheduled snapshot: %v", err)
		} else if err := s.prune(prefix, keep); err != nil {
			logrus.Errorf("Failed to prune snapshots: %v", err)
		}
	}); err != nil {
		return fmt.Errorf("--etcd-snapshot-schedule-cron: %w", err)
	}
	schedule.Start()
	return nil
}

// snapshotCommand is `k3s etcd-snapshot save|ls|delete|prune`.
func snapshotCommand(args []string) error {
	action := "save"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		action, args = args[0], args[1:]
	}
	var names, rest []string
	prefix := "on-demand"
	for i := 0; i < len(args); i++ {
		name, value, assigned := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		switch {
		case !strings.HasPrefix(args[i], "-"):
			names = append(names, args[i])
			continue
		case !assigned && i+1 < len(args):
			i++
			value = args[i]
		}
		switch name {
		case "name":
			prefix = value
		case "dir":
			rest = append(rest, "--etcd-snapshot-dir="+value)
		case "snapshot-retention":
			rest = append(rest, "--etcd-snapshot-retention="+value)
		default:
			rest = append(rest, "--"+name+"="+value)
		}
	}
	v, err := configured("server", rest)
	if err != nil {
		return err
	}
	s, err := newServer(v)
	if err != nil {
		return err
	}
	if s.managed = s.initialized(); !s.managed {
		return errors.New("etcd datastore disabled")
	}
	switch action {
	case "ls", "list", "l":
		return s.listSnapshots()
	case "delete":
		for _, name := range names {
			if err := os.Remove(filepath.Join(s.snapshotDir(), filepath.Base(name))); err != nil {
				return err
			}
		}
		return nil
	case "prune":
		keep, err := s.retention()
		if err != nil {
			return err
		}
		return s.prune(prefix, keep)
	case "save":
	default:
		return fmt.Errorf("no command 'etcd-snapshot %s': the stand-in has save, ls, delete and prune", action)
	}
	if s.client, err = s.dial(s.endpoint()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	name, err := s.saveSnapshot(ctx, prefix)
	if err == nil {
		logrus.Infof("Snapshot %s saved.", name)
	}
	return err
}

func (s *server) listSnapshots() error {
	all, err := s.snapshots()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(table, "Name\tLocation\tSize\tCreated")
	for _, one := range all {
		location := "file://" + filepath.Join(s.snapshotDir(), one.Name())
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", one.Name(), location, one.Size(), one.ModTime().UTC().Format(time.RFC3339))
	}
	return table.Flush()
}

// restore makes the data of a one-member cluster from a snapshot, or from the data of a single server.
func (s *server) restore(from, self string, more ...string) error {
	program, err := s.own.part(s.data, "etcdctl")
	if err != nil {
		return err
	}
	name, _, _ := strings.Cut(self, "=")
	made := s.etcdDir() + ".new"
	if err := os.RemoveAll(made); err != nil {
		return err
	}
	args := append([]string{"snapshot", "restore", from, "--data-dir=" + made, "--name=" + name, "--initial-cluster=" + self,
		"--initial-advertise-peer-urls=" + s.peerURL()}, more...)
	command := exec.Command(program, args...)
	command.Env = append(os.Environ(), "ETCDCTL_API=3")
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("restoring %s: %w: %s", from, err, strings.TrimSpace(string(said)))
	}
	if err := os.WriteFile(filepath.Join(made, "name"), []byte(name), 0o600); err != nil {
		return err
	}
	if err := os.RemoveAll(s.etcdDir()); err != nil {
		return err
	}
	return os.Rename(made, s.etcdDir())
}

// migrate takes over the data of a single server, when that becomes the first of a cluster.
func (s *server) migrate(self string) error {
	database := filepath.Join(s.singleDir(), "member", "snap", "db")
	if !exists(database) {
		return nil
	}
	logrus.Info("Migrating content from sqlite to etcd")
	if err := s.restore(database, self, "--skip-hash-check"); err != nil {
		return err
	}
	return os.Rename(s.singleDir(), s.singleDir()+".migrated")
}

func (s *server) resetFlag() string { return filepath.Join(s.dir, "db", "reset-flag") }

// reset is `k3s server --cluster-reset`: this server becomes the only member, if asked for with a snapshot's data.
func (s *server) reset(ctx context.Context) error {
	if s.v.text("server") != "" {
		return errors.New("cannot perform cluster-reset while server URL is set - remove server from configuration before resetting")
	}
	snapshot := s.v.text("cluster-reset-restore-path")
	if snapshot == "" && exists(s.resetFlag()) {
		return fmt.Errorf("Managed etcd cluster membership was previously reset, please remove the cluster-reset flag and start "+
			"k3s normally. If you need to perform another cluster reset, you must first manually delete the file at %s", s.resetFlag())
	}
	if snapshot == "" && !s.initialized() {
		return errors.New("cluster-reset: no etcd datastore found")
	}
	if information, err := os.Stat(snapshot); snapshot != "" && err != nil {
		return fmt.Errorf("etcd: snapshot path does not exist: %s", snapshot)
	} else if snapshot != "" && information.IsDir() {
		return fmt.Errorf("etcd: snapshot path must be a file, not a directory: %s", snapshot)
	}
	s.v["cluster-init"] = []string{"true"}
	if err := s.prepare(); err != nil {
		return fmt.Errorf("preparing server: %w", err)
	}
	defer s.stop()
	s.member = s.name + "-" + random(4)
	self := s.member + "=" + s.peerURL()
	var more []string
	if snapshot != "" {
		if s.initialized() {
			if err := os.Rename(s.etcdDir(), fmt.Sprintf("%s-old-%d", s.etcdDir(), time.Now().Unix())); err != nil {
				return err
			}
		}
		if err := s.restore(snapshot, self); err != nil {
			return err
		}
	} else {
		if err := replace(filepath.Join(s.etcdDir(), "name"), []byte(s.member), 0o600); err != nil {
			return err
		}
		more = append(more, "--force-new-cluster")
	}
	if err := s.startMember([]string{self}, "new", more...); err != nil {
		return err
	}
	if err := s.waitForEtcd(ctx); err != nil {
		return err
	}
	// The authorities of the cluster that was saved: this server may be a new machine that had made its own.
	stored, err := storedBootstrap(ctx, s.client, s.password)
	if err != nil {
		return err
	}
	if err := writeBootstrap(s.dir, stored); err != nil {
		return err
	}
	members, err := s.client.MemberList(ctx)
	if err != nil {
		return err
	}
	if _, err := s.client.MemberUpdate(ctx, members.Members[0].ID, []string{s.peerURL()}); err != nil {
		return err
	}
	if err := os.WriteFile(s.resetFlag(), nil, 0o600); err != nil {
		return err
	}
	logrus.Infof("Managed etcd cluster membership has been reset, restart without --cluster-reset flag now. " +
		"Backup and delete ${datadir}/server/db on each peer etcd server and rejoin the nodes")
	return nil
}
