// Package hubspottest owns a fake HubSpot: the read side of the conversations
// API, the state behind it, what people do in the inbox, and the ground truth of
// what they did. It is stricter than the real one: whatever HubSpot documents as
// wrong is answered with an error, and every request is recorded.
//
// It must not know anything of threadcast but the ids of threads, must not touch
// the network by itself, and starts no goroutine: a caller serves the Server as an
// http.Handler or calls it in process through Transport, and everything that it
// tells about time comes from the clock that it was given. It therefore works
// inside a testing/synctest bubble.
package hubspottest

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// DefaultToken is accepted when a Config names no tokens.
const DefaultToken = "pat-na1-fake"

// DefaultAccount is the account id when a Config names none.
const DefaultAccount = "12345"

// The API versions that serve threads.
const (
	Version202609Beta = "2026-09-beta"
	Version202609     = "2026-09"
	VersionV3         = "v3"
)

const (
	defaultRequestLog = 10_000    // requests remembered: minutes of any allowed rate
	defaultLogLimit   = 1_000_000 // mutations remembered, about 210 bytes each
	defaultPageCache  = 128 << 20 // bytes of rendered pages: a sweep of 1M threads, compressed
)

// Config says what the account is. The zero Config is a working account without
// limits that has four inboxes and no threads.
type Config struct {
	Clock    func() time.Time // nil: time.Now
	Account  string           // digits; empty: DefaultAccount
	Location *time.Location   // time zone of the account, whose midnight resets the daily limit; nil: UTC
	Inboxes  []Inbox          // nil: DefaultInboxes

	RequestLog int // requests remembered; 0: 10,000
	LogLimit   int // mutations remembered, the oldest go first; 0: 1,000,000
	PageCache  int // bytes of rendered pages kept; 0: 128 MiB, negative: none

	Behaviour
}

// Behaviour holds the switches that may be changed while the server runs, with
// Server.Set. Each stands for something that HubSpot does not document or does
// differently at times; the zero value is the documented or likeliest way.
type Behaviour struct {
	Tokens          []string // bearer tokens that are accepted; nil: DefaultToken
	Versions        []string // versions whose thread and inbox paths answer; nil: all three
	AccountVersions []string // versions whose account-info path answers; nil: 2026-09 and v3
	HTMLNotFound    bool     // unknown paths answer 404 as an HTML page

	Expired        bool // 401 EXPIRED_AUTHENTICATION for accepted tokens too
	MissingScopes  bool // 403 MISSING_SCOPES on threads and inboxes
	AccountRefused bool // 403 MISSING_SCOPES on the account details

	Limits     Limits
	RetryAfter bool // 429 answers carry Retry-After

	MaxLimit       int         // largest page; 0: 500
	StatusAlone    StatusAlone // what threadStatus without a contact does
	BoundExclusive bool        // latestMessageTimestampAfter excludes the moment itself
	HideSpam       bool        // lists leave out spam
	AutoAssign     bool        // a reply to an unassigned thread assigns the replier

	OffsetCursors bool   // the id list pages by offset: rows can be skipped
	PlainCursors  bool   // cursors come without percent-encoding
	EmptyEvery    int    // each nth list page comes empty, with a cursor; 0: never
	EmptyTail     bool   // the end of a list is an empty page
	Extra         string // members that every thread ends with, each after a comma: fields that are new
	LinkBase      string // start of paging.next.link; empty: https://api.hubapi.com

	// Latency gives the waits before and after the state is read, so that an
	// answer can be late and outdated. Nil: none.
	Latency func(*http.Request) (before, after time.Duration)

	// Fault is asked first for every request and may answer in the server's place.
	Fault Fault
}

// StatusAlone is what the list does with threadStatus when it comes without
// associatedContactId, which HubSpot does not document.
type StatusAlone int

// What threadStatus alone does.
const (
	StatusHonoured StatusAlone = iota
	StatusIgnored
	StatusRefused
)

// Server is the fake. Its methods may be called from any goroutine.
type Server struct {
	clock    func() time.Time
	account  string
	location *time.Location
	gzips    sync.Pool

	mu        sync.Mutex
	behaviour Behaviour
	inboxes   []Inbox
	table     table
	log       mutationLog
	pages     pageCache
	requests  requestLog
	meter     meter
	listed    int // list pages answered, for EmptyEvery
}

// New makes an account without threads.
func New(cfg Config) *Server {
	s := &Server{
		clock:     cfg.Clock,
		account:   cfg.Account,
		location:  cfg.Location,
		behaviour: cfg.Behaviour,
		inboxes:   slices.Clone(cfg.Inboxes),
		log:       mutationLog{limit: orDefault(cfg.LogLimit, defaultLogLimit)},
		pages:     newPageCache(orDefault(cfg.PageCache, defaultPageCache)),
		requests:  newRequestLog(orDefault(cfg.RequestLog, defaultRequestLog)),
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.account == "" {
		s.account = DefaultAccount
	}
	if s.location == nil {
		s.location = time.UTC
	}
	if cfg.Inboxes == nil {
		s.inboxes = DefaultInboxes()
	}
	s.table.init()
	return s
}

func orDefault(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// Set changes the behaviour. Requests under way keep the old one.
func (s *Server) Set(change func(*Behaviour)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.behaviour)
	s.pages.clear()
}

// Account is the account's id.
func (s *Server) Account() string { return s.account }

// Thread is a copy of one thread. A purged thread is still known here, with
// Purged set.
func (s *Server) Thread(id thread.ID) (Thread, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pos, ok := s.table.find(uint64(id))
	if !ok {
		return Thread{}, false
	}
	return s.table.thread(s.table.records[pos]), true
}

// Threads is a copy of all threads in the order of their ids, the archived and
// the purged among them.
func (s *Server) Threads() []Thread {
	s.mu.Lock()
	defer s.mu.Unlock()
	threads := make([]Thread, len(s.table.records))
	for pos, rec := range s.table.records {
		threads[pos] = s.table.thread(rec)
	}
	return threads
}

// Len is the number of threads, the archived and the purged among them.
func (s *Server) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.table.records)
}

// at is the thread at a position in the order of ids.
func (s *Server) at(pos int) Thread {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table.thread(s.table.records[pos])
}

// Put adds a thread, or replaces the one with the same id, as if it had always
// been so: nothing is logged. Tests lay their ground with it.
func (s *Server) Put(threads ...Thread) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range threads {
		s.table.put(s.table.record(t))
	}
	s.pages.clear()
}
