package hubspottest

import (
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// Population describes threads that were there before. The zero values of all but
// Threads and Seed stand for a support inbox of usual habits.
type Population struct {
	Threads   int
	Seed      uint64
	OpenShare float64       // of all threads; 0: 2 %
	Agents    int           // who threads are assigned to; 0: 12
	Span      time.Duration // age of the oldest; 0: two years
}

// How a usual support inbox looks, as shares of its threads.
const (
	defaultOpenShare = 0.02
	defaultAgents    = 12
	defaultSpan      = 2 * 365 * 24 * time.Hour

	shareArchived    = 0.03
	shareSpam        = 0.02
	shareTicket      = 0.30
	shareVisitor     = 0.05 // the contact is a visitor
	shareSilent      = 0.01 // no message, so never in the time-sorted list
	shareUnassigned  = 0.12 // of the closed
	shareWaiting     = 0.40 // unassigned, of the open
	shareUnanswered  = 0.10 // nothing was ever sent
	shareBot         = 0.04 // assigned to a bot or an AI agent
	meanConversation = 6 * time.Hour
	meanUntilClosed  = 2 * time.Hour
	meanIDStep       = 8000
	firstContact     = 81_000_000_000
	firstTicket      = 31_000_000_000
)

func (p Population) withDefaults() Population {
	if p.OpenShare == 0 {
		p.OpenShare = defaultOpenShare
	}
	p.Agents = orDefault(p.Agents, defaultAgents)
	if p.Span == 0 {
		p.Span = defaultSpan
	}
	return p
}

// Populate appends threads that the log does not mention, spread over the span up
// to now, ids ascending with time. The same account, moment and population give
// the same threads.
func (s *Server) Populate(p Population) {
	p = p.withDefaults()
	s.mu.Lock()
	defer s.mu.Unlock()
	maker := newPopulationMaker(&s.table, s.inboxes, p, s.clock().UnixMilli())
	records := make([]record, p.Threads)
	for i := range records {
		records[i] = maker.next(i)
	}
	s.table.extend(records)
	s.pages.clear()
}

// populationMaker draws records.
type populationMaker struct {
	Population
	rng    *rand.Rand
	now    int64
	id     uint64
	agents []word
	bots   []word
	places []place
}

// place is an inbox with a channel that leads to it.
type place struct {
	inbox                   word
	channel, channelAccount uint16
}

func newPopulationMaker(t *table, inboxes []Inbox, p Population, now int64) *populationMaker {
	m := &populationMaker{
		Population: p, now: now, id: t.highest(),
		rng: rand.New(rand.NewPCG(p.Seed, 0x706F70)),
	}
	for _, agent := range agents(p.Agents) {
		m.agents = append(m.agents, t.lexicon.word(string(agent)))
	}
	for _, bot := range []string{"B-7300112", "L-880031"} {
		m.bots = append(m.bots, t.lexicon.word(bot))
	}
	for _, inbox := range inboxes {
		for _, channel := range []string{channelEmail, channelChat, channelMessenger} {
			m.places = append(m.places, place{
				inbox: t.lexicon.word(inbox.ID), channel: t.lexicon.short(channel),
				channelAccount: t.lexicon.short(channelAccount(inbox.ID, channel)),
			})
		}
	}
	if m.places == nil {
		m.places = []place{{}}
	}
	return m
}

// agents are the actor ids of an account's agents.
func agents(n int) []thread.Actor {
	all := make([]thread.Actor, n)
	for i := range all {
		all[i] = thread.Actor("A-" + strconv.Itoa(52_620_022+i*137))
	}
	return all
}

// next draws the record with the index, the oldest first.
func (m *populationMaker) next(index int) record {
	m.id += 1 + m.rng.Uint64N(2*meanIDStep)
	spacing := float64(m.Span.Milliseconds()) / float64(m.Threads)
	// How far through the span, in [0, 1]: the last thread is one spacing old.
	progress := float64(index) / float64(m.Threads)
	rec := record{
		id:      m.id,
		created: m.now - m.Span.Milliseconds() + int64(spacing*(float64(index)+m.rng.Float64())),
	}
	m.settle(&rec, progress)
	where := m.places[m.inbox()*3%len(m.places)+m.channel()%len(m.places)]
	rec.inbox, rec.channel, rec.channelAccount = where.inbox, where.channel, where.channelAccount
	rec.contact = wide(firstContact + m.rng.Uint64N(uint64(m.Threads)/2+1))
	if m.chance(shareVisitor) {
		rec.contact += 1 << 40
	}
	if m.chance(shareTicket) {
		rec.ticket = wide(firstTicket + uint64(index))
	}
	rec.mark(flagSpam, m.chance(shareSpam))
	rec.mark(flagArchived, rec.status == wordClosed && m.chance(shareArchived))
	return rec
}

// settle draws the status, the messages and the assignee. Open threads are mostly
// young: their chance grows with the square of the progress.
func (m *populationMaker) settle(rec *record, progress float64) {
	rec.status = wordClosed
	if m.chance(3 * m.OpenShare * progress * progress) {
		rec.status = wordOpen
	}
	latest := min(m.now, rec.created+m.wait(meanConversation))
	switch {
	case m.chance(shareSilent):
	case m.chance(shareUnanswered):
		rec.latest, rec.received = latest, latest
	default:
		other := rec.created + int64(m.rng.Float64()*float64(latest-rec.created))
		rec.latest, rec.received, rec.sent = latest, other, latest
		if m.chance(0.4) {
			rec.received, rec.sent = latest, other
		}
	}
	unassigned := shareWaiting
	if rec.status == wordClosed {
		rec.closed = min(m.now, latest+m.wait(meanUntilClosed))
		unassigned = shareUnassigned
	}
	switch {
	case m.chance(unassigned):
	case m.chance(shareBot):
		rec.assigned = m.bots[m.rng.IntN(len(m.bots))]
	default:
		rec.assigned = m.agents[m.rng.IntN(len(m.agents))]
	}
}

func (m *populationMaker) chance(share float64) bool { return m.rng.Float64() < share }

// wait draws an exponential wait in milliseconds.
func (m *populationMaker) wait(mean time.Duration) int64 {
	return int64(m.rng.ExpFloat64() * float64(mean.Milliseconds()))
}

// inbox draws the index of an inbox: each is half as busy as the one before.
func (m *populationMaker) inbox() int { return pickInbox(m.rng, len(m.places)/3) }

func pickInbox(rng *rand.Rand, inboxes int) int {
	if inboxes < 2 {
		return 0
	}
	halvings := -math.Log2(1 - rng.Float64()*(1-math.Exp2(-float64(inboxes))))
	return min(int(halvings), inboxes-1)
}

// channel draws the index of a channel: six in ten write e-mails.
func (m *populationMaker) channel() int { return pickChannel(m.rng) }

func pickChannel(rng *rand.Rand) int {
	switch draw := rng.Float64(); {
	case draw < 0.6:
		return 0
	case draw < 0.9:
		return 1
	}
	return 2
}
