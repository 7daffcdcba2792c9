package pipeline_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/kafkatest"
	"github.com/threadcast/threadcast/internal/oracle"
	"github.com/threadcast/threadcast/internal/pipeline"
)

// unreliable answers a share of the requests with what HubSpot and what stands before it
// sometimes answer. It does so only while it is on.
type unreliable struct {
	mu     sync.Mutex
	random *rand.Rand
	share  float64
	hits   int
}

func (u *unreliable) fault(r *http.Request) (hubspottest.Response, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.random.Float64() >= u.share {
		return hubspottest.Response{}, false
	}
	u.hits++
	answers := []func() hubspottest.Response{
		func() hubspottest.Response { return hubspottest.Page(502) },
		func() hubspottest.Response { return hubspottest.Page(520) },
		func() hubspottest.Response { return hubspottest.Page(200) },
		func() hubspottest.Response { return hubspottest.JSON("{}") },
		hubspottest.Truncated,
		hubspottest.WrongTypes,
		hubspottest.RepeatedCursor,
		func() hubspottest.Response { return hubspottest.TooMany("SECONDLY", 0) },
		func() hubspottest.Response { return hubspottest.Trouble(503, "INTERNAL_ERROR", "not now") },
	}
	return answers[u.random.IntN(len(answers))](), true
}

func (u *unreliable) heal() (hits int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.share = 0
	return u.hits
}

// A HubSpot of whose answers one in twenty-five is nonsense, late answers, empty pages,
// cursors by offset, and a Kafka whose answers get lost: nothing is lost, invented,
// repeated or out of order.
func TestFaultsOnBothSidesLoseNothing(t *testing.T) {
	for _, offsets := range []bool{false, true} {
		t.Run(map[bool]string{false: "cursors by id", true: "cursors by offset"}[offsets], func(t *testing.T) {
			f := setup(t)
			seed := uint64(time.Now().UnixNano())
			bad := &unreliable{random: rand.New(rand.NewPCG(seed, 1)), share: 0.04}
			late := rand.New(rand.NewPCG(seed, 2))
			var mu sync.Mutex
			f.hubspot.Set(func(b *hubspottest.Behaviour) {
				b.Limits = hubspottest.Limits{Burst: 2000, Secondly: 1000, Daily: 1 << 30}
				b.Fault, b.EmptyEvery, b.EmptyTail, b.OffsetCursors, b.MaxLimit = bad.fault, 5, true, offsets, 100
				b.Latency = func(*http.Request) (before, after time.Duration) {
					mu.Lock()
					defer mu.Unlock()
					return time.Duration(late.IntN(20)) * time.Millisecond, time.Duration(late.IntN(60)) * time.Millisecond
				}
			})
			script := hubspottest.NewScript(f.hubspot, hubspottest.ScriptConfig{
				Seed: seed, Every: 40 * time.Millisecond, Spacing: 3 * time.Second, Population: hubspottest.Population{Threads: 250, Seed: seed, OpenShare: 0.3},
			})
			dial := kafkatest.NewFaultDialer(seed, 300*time.Millisecond, (&net.Dialer{}).DialContext)
			began := time.Now()
			r := f.start(func(o *pipeline.Options) { o.Dial = dial.Dial })
			f.until("a session", func() bool { return strings.Contains(f.logs.String(), "session established") })
			dial.Random(kafkatest.AnyRequest, kafkatest.Shares{
				kafkatest.LostAnswer: 40, kafkatest.LostRequest: 20, kafkatest.LateRequest: 20, kafkatest.SlowAnswer: 20,
			})
			playing, stop := context.WithTimeout(t.Context(), 12*time.Second)
			defer stop()
			if err := script.Run(playing, nil); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			hits := bad.heal()
			cycles := f.hubspot.Stats().Endpoints["threads"]
			f.until("HubSpot is read anew", func() bool { return f.hubspot.Stats().Endpoints["threads"] > cycles+60 })
			r.drain()
			report := oracle.Check(f.records(), f.hubspot, oracle.Options{MustSee: time.Hour, From: began})
			t.Logf("seed %d: %d wrong answers of HubSpot, %d of Kafka lost: %v", seed, hits, dial.Hits(kafkatest.LostAnswer), &report)
			if err := report.Err(); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			if hits == 0 || dial.Hits(kafkatest.LostAnswer) == 0 || report.Revisions < 250 {
				t.Errorf("seed %d: too little happened", seed)
			}
		})
	}
}

// records are all records of the account's topics.
func (f *fixture) records() []*kgo.Record {
	f.t.Helper()
	var records []*kgo.Record
	for _, topic := range f.cfg.Kafka.TopicNames() {
		records = append(records, kafkatest.ReadAll(f.t, f.brokers, topic)...)
	}
	return records
}
