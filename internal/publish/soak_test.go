package publish

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// TestSoakModel runs random schedules of the model, with seeds of its own, for as long
// as THREADCAST_SOAK says, or a second.
func TestSoakModel(t *testing.T) {
	lasting := time.Second
	if text := os.Getenv("THREADCAST_SOAK"); text != "" {
		var err error
		if lasting, err = time.ParseDuration(text); err != nil {
			t.Fatalf("THREADCAST_SOAK: %v", err)
		}
	}
	h := newHistory(t, simRevisions)
	var count tally
	first, n := rand.Uint64N(1<<40), uint64(0)
	for end := time.Now().Add(lasting); time.Now().Before(end); n++ {
		if err := runSchedule(first+n, h, noBug, &count); err != nil {
			t.Fatalf("%v\nrepeat it with: go test ./internal/publish -run TestModel -schedules 1 -seed %d", err, first+n)
		}
	}
	t.Logf("%d schedules from seed %d: %+v", n, first, count)
}
