// Package oracle judges what was published: it compares the records on the topics
// with the fake HubSpot's log of everything that happened, and walks each partition
// as a consumer would. It believes no part of the service but the contract, the
// decoder of its events and the rule of their headers. Tests and the demo use it; the
// service must not import it.
package oracle

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/thread"
)

// Options say what may be expected. The zero Options expect every change of the
// default kinds.
type Options struct {
	// Kinds are those that the service publishes; zero: thread.DefaultKinds. The
	// records must be those of all their topics.
	Kinds thread.KindSet
	// MustSee is how long a state of a thread must have stood, while it was listed, so
	// that the service cannot have missed it: longer than a cycle of its slowest lane,
	// with what delays one. Shorter states may be published or not. What stands at the
	// end must be published in any case.
	MustSee time.Duration
	// From is when the service began to read. What stood before does not count towards
	// MustSee. Zero: before everything.
	From time.Time
	// Silent says that the threads found by the first cycle were kept silently.
	Silent bool
}

// Report is what the oracle found. Events to Delays describe; each count from Lost on
// is a broken promise, and zero is what a test wants.
type Report struct {
	Events     int // of the account, heartbeats and barriers not included
	Heartbeats int
	Barriers   int
	Threads    int // that have events
	Revisions  int
	Foreign    int // records of other accounts, which are passed over
	Changes    int // states that had to be published, first sights included
	Missed     int // states that stood too shortly and were not published
	// Delays run from each change in HubSpot to the arrival of the reading that showed
	// it, in the order of the threads' ids. Threads that were there before have none.
	Delays []time.Duration

	Lost         int // changes, or events of a revision, that had to be published
	Unsettled    int // threads whose last event does not show them as HubSpot does
	Invented     int // revisions that show what never was, or not yet
	Duplicates   int // event ids that are there twice
	Disorder     int // events of a thread out of order on a topic, or on two partitions
	Gaps         int // in revisions, kind sequences and the chain of previous event ids
	BrokenBefore int // revisions whose before is not the after of the one before
	WrongWindow  int // revisions whose window does not hold their change
	FalseMarks   int // heartbeats with a wrong count, or a watermark that was broken
	Malformed    int // records that are not what the contract says

	// Problems are the first broken promises in words.
	Problems []string
}

// Faults is the number of broken promises.
func (r *Report) Faults() int {
	return r.Lost + r.Unsettled + r.Invented + r.Duplicates + r.Disorder + r.Gaps + r.BrokenBefore + r.WrongWindow +
		r.FalseMarks + r.Malformed
}

// Err is nil if no promise was broken.
func (r *Report) Err() error {
	if r.Faults() == 0 {
		return nil
	}
	return errors.New(r.String() + "\n  " + strings.Join(r.Problems, "\n  "))
}

// String is the report in one line.
func (r *Report) String() string {
	return fmt.Sprintf("%d events of %d revisions of %d threads, %d heartbeats: %d lost, %d unsettled, %d invented, %d duplicates, "+
		"%d out of order, %d gaps, %d wrong before, %d wrong windows, %d false heartbeats, %d malformed",
		r.Events, r.Revisions, r.Threads, r.Heartbeats, r.Lost, r.Unsettled, r.Invented, r.Duplicates,
		r.Disorder, r.Gaps, r.BrokenBefore, r.WrongWindow, r.FalseMarks, r.Malformed)
}

// Check judges all records of an account's topics, in any order. The script of the
// server must be over, and the service have had time to settle, or have been drained
// after that.
func Check(records []*kgo.Record, server *hubspottest.Server, opt Options) Report {
	if opt.Kinds == 0 {
		opt.Kinds = thread.DefaultKinds
	}
	c := &checker{opt: opt, account: server.Account(), seen: map[string]*kgo.Record{}, threads: map[threadKey]*history{}}
	records = slices.Clone(records)
	slices.SortFunc(records, func(a, b *kgo.Record) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	c.walk(records)
	c.histories()
	c.compare(c.timelines(server))
	return c.report
}

// mostProblems are put in words; the counts go on.
const mostProblems = 40

// checker is one check.
type checker struct {
	opt     Options
	account string
	seen    map[string]*kgo.Record // by event id
	threads map[threadKey]*history
	report  Report
}

func (c *checker) fault(count *int, format string, args ...any) {
	*count++
	if len(c.report.Problems) < mostProblems {
		c.report.Problems = append(c.report.Problems, fmt.Sprintf(format, args...))
	}
}

// at names a record.
func at(r *kgo.Record) string { return fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset) }
