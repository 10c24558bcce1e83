package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Events are what happened since the boot, and who follows.
type Events struct {
	mu        sync.Mutex
	past      []*machine.Event
	followers map[chan *machine.Event]struct{}
	boot      string
}

const keptEvents = 1000

func (e *Events) publish(actor string, payload proto.Message) {
	value, err := proto.Marshal(payload)
	if err != nil {
		return
	}

	e.mu.Lock()
	defer e.mu.Unlock()

	event := &machine.Event{
		Id:      fmt.Sprintf("%s-%d-%d", e.boot, len(e.past), time.Now().UnixNano()),
		ActorId: actor,
		// Talos' clients know its types by this prefix.
		Data: &anypb.Any{TypeUrl: "talos/runtime/" + string(payload.ProtoReflect().Descriptor().FullName()), Value: value},
	}

	e.past = append(e.past, event)
	if len(e.past) > keptEvents {
		e.past = e.past[1:]
	}

	for follower := range e.followers {
		select {
		case follower <- event:
		default: // one that does not read
		}
	}
}

// follow gives what happens from now on, and of what happened the last `tail`; all of it if that is negative.
func (e *Events) follow(tail int) (<-chan *machine.Event, func()) {
	e.mu.Lock()
	defer e.mu.Unlock()

	past := e.past
	if tail >= 0 && tail < len(past) {
		past = past[len(past)-tail:]
	}

	channel := make(chan *machine.Event, keptEvents*2)
	for _, event := range past {
		channel <- event
	}

	if e.followers == nil {
		e.followers = map[chan *machine.Event]struct{}{}
	}

	e.followers[channel] = struct{}{}

	return channel, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.followers, channel)
	}
}
