package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/oracle"
	"github.com/threadcast/threadcast/internal/thread"
)

// opening explains what is to be seen.
func (p *show) opening() notice {
	topics := p.cfg.Kafka.TopicNames()
	text := fmt.Sprintf(`threadcast demo: changes in a support inbox, as a Kafka consumer sees them

  HubSpot     a fake with %d threads, %s; about %g things happen a second
  threadcast  reads its list of threads, finds what changed, publishes each change once and in order
  Kafka       %s; topics %s
  consumer    knows only the topics; prints what it reads, with the delay since it happened in HubSpot
`, p.opt.inbox.threads, p.hubspot.url, p.opt.inbox.rate, p.cluster.where(), shared(topics))
	if p.opt.length == 0 {
		text += "\nCtrl-C ends it with a checked summary.\n"
	}
	return notice{"start", text, map[string]any{
		"hubspot": p.hubspot.url, "account": p.names.Account, "threads": p.opt.inbox.threads, "rate": p.opt.inbox.rate, "seed": p.opt.inbox.seed,
		"brokers": p.cluster.brokers, "topics": topics,
	}}
}

// shared writes topics with what their names begin and end with in common written once.
func shared(topics []string) string {
	first := topics[0]
	head, tail := strings.LastIndex(strings.TrimSuffix(first, ".v1"), ".")+1, ".v1"
	var kinds []string
	for _, topic := range topics {
		if len(topic) < head || topic[:head] != first[:head] || !strings.HasSuffix(topic, tail) {
			return strings.Join(topics, ", ")
		}
		kinds = append(kinds, strings.TrimSuffix(topic[head:], tail))
	}
	return first[:head] + "{" + strings.Join(kinds, ",") + "}" + tail
}

func (p *show) discovery(d discovery) notice {
	took := time.Since(p.began)
	text := fmt.Sprintf("discovered %d threads: %d events after %.1f s", d.threads, d.events, took.Seconds())
	if trash := p.opt.inbox.threads - d.threads; trash > 0 {
		text += fmt.Sprintf(" (%d more lie in HubSpot's trash)", trash)
	}
	return notice{"discovered", text + "\n\n" + heading(), map[string]any{
		"threads": d.threads, "events": d.events, "after_ms": took.Milliseconds(),
	}}
}

// summary is what the demo says at its end.
type summary struct {
	took      time.Duration
	mutations map[hubspottest.Op]int
	start     discovery
	events    map[thread.Kind]map[string]int
	delays    delays
	calls     hubspottest.Stats
	report    oracle.Report
	keeps     string // the topics that stay on somebody else's cluster
}

func (p *show) summary(report oracle.Report) summary {
	start, tally := p.audience.counted()
	s := summary{
		took: time.Since(p.began), mutations: map[hubspottest.Op]int{}, start: start, events: tally.events,
		delays: measure(tally.delays), calls: p.hubspot.server.Stats(), report: report,
	}
	for _, m := range p.hubspot.server.Log(0) {
		s.mutations[m.Op]++
	}
	if p.cluster.inside == nil {
		s.keeps = shared(p.cfg.Kafka.TopicNames())
	}
	return s
}

// delays of events, sorted out.
type delays struct {
	count            int
	median, p95, max time.Duration
}

func measure(all []time.Duration) delays {
	if len(all) == 0 {
		return delays{}
	}
	slices.Sort(all)
	at := func(share float64) time.Duration { return all[int(share*float64(len(all)-1)+0.5)] }
	return delays{len(all), at(0.5), at(0.95), all[len(all)-1]}
}

func (s summary) notice() notice {
	var text strings.Builder
	fmt.Fprintf(&text, "\nsummary after %.1f s\n\n", s.took.Seconds())
	s.table(&text)
	fmt.Fprintf(&text, "\ndelay from the change in HubSpot to the consumer: p50 %.2f s, p95 %.2f s, max %.2f s\n",
		s.delays.median.Seconds(), s.delays.p95.Seconds(), s.delays.max.Seconds())
	fmt.Fprintf(&text, "calls to HubSpot: %d, %.1f a second (%s)\n", s.calls.Requests, float64(s.calls.Requests)/s.took.Seconds(), s.endpoints())
	fmt.Fprintf(&text, "checked against HubSpot's log (%d states of threads had to reach Kafka): %s\n", s.report.Changes, s.verdict())
	if s.keeps != "" {
		fmt.Fprintf(&text, "the topics %s stay on the cluster\n", s.keeps)
	}
	return notice{"summary", strings.TrimSuffix(text.String(), "\n"), s.fields()}
}

// table sets what happened beside what was published.
func (s summary) table(w *strings.Builder) {
	left := [][2]string{{"happened in HubSpot", fmt.Sprint(total(s.mutations))}}
	for _, op := range byCount(s.mutations) {
		left = append(left, [2]string{"  " + op.String() + unseen(op), fmt.Sprint(s.mutations[op])})
	}
	var right [][2]string
	all := 0
	for _, kind := range slices.Sorted(maps.Keys(s.events)) {
		right = append(right, [2]string{"  " + kind.String(), fmt.Sprint(total(s.events[kind]))})
		all += total(s.events[kind])
		for _, what := range byCount(s.events[kind]) {
			if kind != thread.KindStatus {
				right = append(right, [2]string{"    " + what, fmt.Sprint(s.events[kind][what])})
			}
		}
	}
	right = slices.Concat([][2]string{{"events on Kafka", fmt.Sprint(all)}}, right,
		[][2]string{{"  before, at discovery", fmt.Sprint(s.start.events)}})
	for i := range max(len(left), len(right)) {
		var l, r [2]string
		if i < len(left) {
			l = left[i]
		}
		if i < len(right) {
			r = right[i]
		}
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %-34s %6s      %-24s %6s", l[0], l[1], r[0], r[1]), " "))
	}
}

// unseen says why an operation alone makes no event in the demo.
func unseen(op hubspottest.Op) string {
	switch op {
	case hubspottest.OpReceive, hubspottest.OpReply:
		return " (activity is off)"
	case hubspottest.OpArchive:
		return " (the trash is not read)"
	}
	return ""
}

func total[K comparable](counts map[K]int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// byCount are the keys, the most frequent first.
func byCount[K cmp.Ordered](counts map[K]int) []K {
	return slices.SortedFunc(maps.Keys(counts), func(a, b K) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
}

func (s summary) endpoints() string {
	words := map[hubspottest.Endpoint]string{
		hubspottest.EndpointThreads: "pages of threads", hubspottest.EndpointThread: "single threads",
		hubspottest.EndpointInboxes: "lists of inboxes", hubspottest.EndpointAccount: "account",
	}
	var parts []string
	for _, endpoint := range byCount(s.calls.Endpoints) {
		parts = append(parts, fmt.Sprintf("%d %s", s.calls.Endpoints[endpoint], cmp.Or(words[endpoint], "others")))
	}
	return strings.Join(parts, ", ")
}

// finding is one count of the verdict.
type finding struct {
	name  string
	count int
}

// findings are those that everybody asks for, then the others.
func (s summary) findings() []finding {
	r := s.report
	return []finding{
		{"lost", r.Lost + r.Unsettled}, {"invented", r.Invented}, {"duplicate", r.Duplicates}, {"out of order", r.Disorder},
		{"gaps", r.Gaps}, {"wrong before", r.BrokenBefore}, {"wrong windows", r.WrongWindow},
		{"false heartbeats", r.FalseMarks}, {"malformed", r.Malformed},
	}
}

func (s summary) verdict() string {
	const always = 4
	var parts []string
	for i, f := range s.findings() {
		if i < always || f.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", f.count, f.name))
		}
	}
	return strings.Join(parts, ", ")
}

func (s summary) fields() map[string]any {
	mutations, events, checked := map[string]int{}, map[string]int{}, map[string]int{}
	for op, n := range s.mutations {
		mutations[op.String()] = n
	}
	for kind, counts := range s.events {
		events[kind.String()] = total(counts)
	}
	for _, f := range s.findings() {
		checked[strings.ReplaceAll(f.name, " ", "_")] = f.count
	}
	return map[string]any{
		"ok": s.report.Faults() == 0, "took_ms": s.took.Milliseconds(), "mutations": mutations, "events": events,
		"discovered": map[string]int{"threads": s.start.threads, "events": s.start.events},
		"delay_ms": map[string]int64{
			"count": int64(s.delays.count), "p50": s.delays.median.Milliseconds(), "p95": s.delays.p95.Milliseconds(), "max": s.delays.max.Milliseconds(),
		},
		"calls": s.calls.Endpoints, "states_due": s.report.Changes, "checked": checked, "problems": append([]string{}, s.report.Problems...),
	}
}
