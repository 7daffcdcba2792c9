package hubspot

import (
	"cmp"
	"slices"
	"sync"
)

// The kinds of drift: HubSpot says something that this version does not know.
const (
	DriftField  = "unknown_field"
	DriftStatus = "unknown_status"
)

// maxDriftNames caps the names that are told apart; all others are one.
const (
	maxDriftNames = 64
	otherNames    = "other"
)

// Drift counts what decoding met and does not know. Its zero value is ready, and
// its methods may be called by many goroutines at once.
type Drift struct {
	mu     sync.Mutex
	counts map[driftKey]uint64
}

type driftKey struct{ kind, name string }

// DriftCount is how often a name was met.
type DriftCount struct {
	Kind, Name string
	Count      uint64
}

func (d *Drift) count(kind, name string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.counts == nil {
		d.counts = map[driftKey]uint64{}
	}
	key := driftKey{kind, safe(name, maxWord)}
	if _, ok := d.counts[key]; !ok && len(d.counts) >= maxDriftNames {
		key.name = otherNames
	}
	d.counts[key]++
}

// Counts lists what was met so far, by kind and name.
func (d *Drift) Counts() []DriftCount {
	d.mu.Lock()
	defer d.mu.Unlock()
	counts := make([]DriftCount, 0, len(d.counts))
	for key, count := range d.counts {
		counts = append(counts, DriftCount{key.kind, key.name, count})
	}
	slices.SortFunc(counts, func(a, b DriftCount) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return counts
}
