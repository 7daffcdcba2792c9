package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/pipeline"
	"github.com/threadcast/threadcast/internal/thread"
)

// openShare of the threads are open: a far busier inbox than a real one, so that a
// small one has something to do.
const openShare = 0.25

// inboxOptions describe the fake HubSpot and what happens in it.
type inboxOptions struct {
	listen, account, token string
	threads                int
	rate                   float64 // mutations a second
	seed                   uint64
	spacing                time.Duration // shortest time between two mutations of a thread
	length, quiet          time.Duration // of the play, and at its end; length 0: it never ends
	plan                   string        // whose call limits hold, one of plans
}

// plans are HubSpot's, by the call limits of a private app.
func plans() map[string]hubspottest.Limits {
	return map[string]hubspottest.Limits{
		"free": hubspottest.FreeLimits(), "professional": hubspottest.ProfessionalLimits(), "enterprise": hubspottest.EnterpriseLimits(),
		"none": {},
	}
}

func (o *inboxOptions) check(most int, fastest float64) error {
	if _, known := plans()[o.plan]; !known {
		return fmt.Errorf("--plan %q: want free, professional, enterprise or none", o.plan)
	}
	if o.threads < 1 || o.threads > most {
		return fmt.Errorf("--threads %d: want 1 to %d", o.threads, most)
	}
	if !(o.rate > 0 && o.rate <= fastest) {
		return fmt.Errorf("--rate %v: want more than 0, at most %v", o.rate, fastest)
	}
	return nil
}

// inbox is a fake HubSpot that is served on an address.
type inbox struct {
	opt    inboxOptions
	server *hubspottest.Server
	url    string
	http   *http.Server
	served chan error
}

// openInbox fills the fake with threads and serves it. Nothing happens in it yet.
func openInbox(ctx context.Context, o inboxOptions) (*inbox, error) {
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", o.listen)
	if err != nil {
		return nil, &pipeline.Failure{Code: pipeline.CodeUnavailable, Err: fmt.Errorf("serve the fake HubSpot: %w", err)}
	}
	i := &inbox{
		opt: o, url: "http://" + listener.Addr().String(), served: make(chan error, 1),
		server: hubspottest.New(hubspottest.Config{
			Account:   o.account,
			Behaviour: hubspottest.Behaviour{Tokens: []string{o.token}, Limits: plans()[o.plan]},
		}),
	}
	i.server.Populate(i.population())
	i.http = &http.Server{Handler: i.server, ReadHeaderTimeout: 10 * time.Second}
	go func() { i.served <- i.http.Serve(listener) }()
	return i, nil
}

func (i *inbox) population() hubspottest.Population {
	return hubspottest.Population{Threads: i.opt.threads, Seed: i.opt.seed, OpenShare: openShare}
}

// play lets things happen until the script or the context ends. After each it calls
// did.
func (i *inbox) play(ctx context.Context, did func()) error {
	population := i.population()
	population.Threads = 0 // they are there already
	script := hubspottest.NewScript(i.server, hubspottest.ScriptConfig{
		Seed: i.opt.seed, Population: population, Every: time.Duration(float64(time.Second) / i.opt.rate),
		Spacing: i.opt.spacing, Length: i.opt.length, Quiet: i.opt.quiet,
	})
	return script.Run(ctx, func(hubspottest.Step) { did() })
}

// listed is the number of threads that a list shows: those that are not in the trash.
func (i *inbox) listed() int {
	n := 0
	for _, t := range i.server.Threads() {
		if !t.Archived && !t.Purged {
			n++
		}
	}
	return n
}

// close ends all connections.
func (i *inbox) close() error {
	err := i.http.Close()
	if served := <-i.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// truth finds out which mutation an event tells of.
type truth struct {
	server *hubspottest.Server
	last   uint64 // sequence of the newest mutation that is known here
	known  map[thread.ID][]hubspottest.Mutation
}

func newTruth(server *hubspottest.Server) *truth {
	return &truth{server: server, known: map[thread.ID][]hubspottest.Mutation{}}
}

// cause is the newest mutation before a reading that made a difference of a kind, or
// that brought a thread that had not been seen.
func (t *truth) cause(id thread.ID, kind thread.Kind, unseen bool, read time.Time) (hubspottest.Mutation, bool) {
	for _, m := range t.server.Log(t.last) {
		t.known[m.Thread] = append(t.known[m.Thread], m)
		t.last = m.Sequence
	}
	history := t.known[id]
	for n := len(history) - 1; n >= 0; n-- {
		m := history[n]
		if m.Time.After(read) {
			continue
		}
		appeared := m.Op == hubspottest.OpOpen || unseen && m.Op == hubspottest.OpRestore
		if appeared == unseen && (appeared || differs(m, kind)) {
			return m, true
		}
	}
	return hubspottest.Mutation{}, false
}

// differs says whether a mutation changed what a kind is about.
func differs(m hubspottest.Mutation, kind thread.Kind) bool {
	before, after := m.Before, m.After
	switch kind {
	case thread.KindStatus:
		return before.Status != after.Status
	case thread.KindAssignment:
		return before.AssignedTo != after.AssignedTo
	case thread.KindClosure:
		return !before.ClosedAt.Equal(after.ClosedAt)
	case thread.KindLifecycle:
		return before.Inbox != after.Inbox || before.Spam != after.Spam || before.Ticket != after.Ticket ||
			before.Contact != after.Contact || before.Archived != after.Archived || before.Purged != after.Purged
	}
	return true
}
