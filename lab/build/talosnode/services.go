package main

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Services are what `talosctl services` shows, by name.
type Services struct {
	mu    sync.Mutex
	infos map[string]*machine.ServiceInfo
}

// set records a state in Talos' words ("Preparing", "Running", "Failed") and whether the service is healthy;
// an empty message keeps the service's health unknown.
func (s *Services) set(name, state string, healthy bool, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.infos == nil {
		s.infos = map[string]*machine.ServiceInfo{}
	}

	found := s.infos[name]
	if found == nil {
		found = &machine.ServiceInfo{Id: name, Events: &machine.ServiceEvents{}}
	} else if found.State == state && found.Health.Healthy == healthy {
		return
	}

	now := timestamppb.New(time.Now())
	s.infos[name] = &machine.ServiceInfo{
		Id:    name,
		State: state,
		Events: &machine.ServiceEvents{
			Events: append(slices.Clone(found.Events.Events), &machine.ServiceEvent{Msg: message, State: state, Ts: now}),
		},
		Health: &machine.ServiceHealth{Unknown: message == "", Healthy: healthy, LastMessage: message, LastChange: now},
	}
}

func (s *Services) healthy(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	found := s.infos[name]

	return found != nil && found.State == "Running" && found.Health.Healthy
}

func (s *Services) list() []*machine.ServiceInfo {
	s.mu.Lock()
	defer s.mu.Unlock()

	var found []*machine.ServiceInfo
	for _, info := range s.infos {
		found = append(found, info)
	}

	slices.SortFunc(found, func(a, b *machine.ServiceInfo) int { return strings.Compare(a.Id, b.Id) })

	return found
}
