package main

import (
	"context"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Programs are the paths of what runs behind the API.
type Programs struct {
	APIServer, Etcd, Etcdctl string
}

const (
	restartDelay = 2 * time.Second
	stopPatience = 10 * time.Second
	mostOfLog    = 8 << 20
)

// Process is a program that is started again whenever it ends, until it is stopped.
type Process struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// start runs a program; its output goes to var/log/NAME.log.
func (d Disk) start(name string, argv, env []string) *Process {
	ctx, cancel := context.WithCancel(context.Background())
	process := &Process{cancel, make(chan struct{})}

	go func() {
		defer close(process.done)

		for {
			err := d.once(ctx, name, argv, env)
			if ctx.Err() != nil {
				return
			}

			log.Printf("%s ended: %v", name, err)

			select {
			case <-ctx.Done():
				return
			case <-time.After(restartDelay):
			}
		}
	}()

	return process
}

func (d Disk) once(ctx context.Context, name string, argv, env []string) error {
	path := d.logFile(name)
	if info, err := os.Stat(path); err == nil && info.Size() > mostOfLog {
		_ = os.Rename(path, path+".1")
	}

	output, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer output.Close()

	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Env, command.Stdout, command.Stderr = env, output, output
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopPatience
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}

	return command.Run()
}

func (d Disk) logFile(name string) string {
	return d.path("var", "log", filepath.Base(name)+".log")
}

// stop ends the program and waits for its end.
func (p *Process) stop() {
	if p != nil {
		p.cancel()
		<-p.done
	}
}
