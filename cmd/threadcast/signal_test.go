package main

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/kafkatest"
)

// strand runs the program until Kafka is gone and events wait in the outbox.
func strand(t *testing.T) (*stage, *process) {
	t.Helper()
	broker := kafkatest.Start(t)
	s := newStage(t, 20)
	s.variables["THREADCAST_KAFKA__BROKERS"] = strings.Join(broker.ListenAddrs(), ",")
	s.variables["THREADCAST_LOG__LEVEL"] = "debug"
	p := s.start(t, "run")
	s.settle(t)
	broker.Close()
	for _, thread := range s.hubspot.Threads() {
		if thread.Status == hubspottest.StatusOpen && !thread.Archived {
			if err := s.hubspot.Close(thread.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.settle(t)
	return s, p
}

func TestSignals(t *testing.T) {
	t.Parallel()
	t.Run("the first one ends in time although Kafka is away", func(t *testing.T) {
		t.Parallel()
		s, p := strand(t)
		p.signal(syscall.SIGTERM)
		const grace = 2 * time.Second // for closing, on a machine that does other things too
		if code, took := p.exit(); code != 0 || took > drainTime+grace {
			t.Errorf("exit code %d after %v, want 0 within %v\n%s", code, took, drainTime, p.stderr)
		}
		s.sound(t)
	})
	t.Run("the second one ends at once", func(t *testing.T) {
		t.Parallel()
		s, p := strand(t)
		p.signal(syscall.SIGTERM)
		err := await(t.Context(), "the drain to begin", func() (bool, error) {
			return strings.Contains(p.stderr.String(), "draining"), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		p.signal(syscall.SIGINT)
		code, took := p.exit()
		if code != 1 || took > 2*stopTime {
			t.Errorf("exit code %d after %v, want 1 within %v\n%s", code, took, 2*stopTime, p.stderr)
		}
		if log := p.stderr.String(); !strings.Contains(log, "threadcast: stopped by a second signal") {
			t.Errorf("the end is not explained:\n%s", log)
		}
		s.sound(t)
	})
}

func TestAttend(t *testing.T) {
	trouble := errors.New("trouble")
	for name, at := range map[string]struct {
		signals  int
		drains   bool // the service ends when it is drained
		stops    bool // and when it is stopped
		end, err error
	}{
		"the service ends by itself":         {end: trouble, err: trouble},
		"drained":                            {signals: 1, drains: true},
		"drained with trouble":               {signals: 1, drains: true, end: trouble, err: trouble},
		"stopped":                            {signals: 2, stops: true, err: errStopped},
		"stopped although it does not close": {signals: 2, err: errStopped},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signals, ended := make(chan os.Signal, 2), make(chan error, 1)
				for range at.signals {
					signals <- os.Interrupt
				}
				if at.signals == 0 {
					ended <- at.end
				}
				end := func(now bool) func() {
					return func() {
						if now {
							ended <- at.end
						}
					}
				}
				err := attend(signals, ended, end(at.drains), end(at.stops), slog.New(slog.DiscardHandler))
				if !errors.Is(err, at.err) {
					t.Errorf("got %v, want %v", err, at.err)
				}
			})
		})
	}
}
