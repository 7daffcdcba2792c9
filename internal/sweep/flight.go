package sweep

import (
	"sync"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// flights are the requests whose answers are not taken in yet.
type flights struct {
	mu   sync.Mutex
	open map[*flight]thread.Instant
}

// flight is one request, from its sending until its answer is taken in.
type flight struct{ all *flights }

// begin announces a request; it counts from the moment that sent gives.
func (f *flights) begin() *flight { return &flight{all: f} }

// sent says that the request, or another attempt at it, is about to go out.
func (f *flight) sent(at thread.Instant) {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	if f.all.open == nil {
		f.all.open = map[*flight]thread.Instant{}
	}
	f.all.open[f] = at
}

// end says that the answer is taken in, or that there will be none.
func (f *flight) end() {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	delete(f.all.open, f)
}

// oldest is when the oldest open request was sent, by the wall clock that events carry,
// or now. A clock that was set back in between makes it older, never younger.
func (f *flights) oldest(now thread.Instant) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	oldest := now.Wall
	for _, sent := range f.open {
		if sent.Wall.Before(oldest) {
			oldest = sent.Wall
		}
	}
	return oldest
}
