package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
)

// child is a program that K3s has as a part of itself; here it is a process that ends with us, however we end.
type child struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
	said *tail
}

// tail keeps the last lines that a program wrote.
type tail struct {
	sync.Mutex
	data []byte
}

func (t *tail) Write(data []byte) (int, error) {
	t.Lock()
	defer t.Unlock()
	t.data = append(t.data, data...)
	if extra := len(t.data) - 16384; extra > 0 {
		t.data = t.data[extra:]
	}
	return len(data), nil
}

func (t *tail) contains(text string) bool {
	t.Lock()
	defer t.Unlock()
	return bytes.Contains(t.data, []byte(text))
}

var starts = make(chan func())

// The kernel ties "die with your parent" to the thread that started the child, so one thread starts them all.
func init() {
	go func() {
		runtime.LockOSThread()
		for start := range starts {
			start()
		}
	}()
}

func start(path string, args []string, env ...string) (*child, error) {
	one := &child{name: path[strings.LastIndexByte(path, '/')+1:], done: make(chan struct{}), said: &tail{}}
	one.cmd = exec.Command(path, args...)
	// Each of them would tell systemd that it is ready, long before K3s is.
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "NOTIFY_SOCKET=") && !strings.HasPrefix(variable, "K3S_") {
			one.cmd.Env = append(one.cmd.Env, variable)
		}
	}
	one.cmd.Env = append(one.cmd.Env, env...)
	one.cmd.Stdout = io.MultiWriter(os.Stderr, one.said)
	one.cmd.Stderr = one.cmd.Stdout
	one.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	result := make(chan error)
	starts <- func() { result <- one.cmd.Start() }
	if err := <-result; err != nil {
		return nil, err
	}
	go func() {
		_ = one.cmd.Wait()
		close(one.done)
	}()
	return one, nil
}

func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (c *child) stop() {
	if c == nil || c.ended() {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(15 * time.Second):
		logrus.Warnf("%s does not end, killing it", c.name)
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}
