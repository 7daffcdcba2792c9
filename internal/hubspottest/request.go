package hubspottest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Request is a request that the server answered. Its token is not kept.
type Request struct {
	Time      time.Time // of arrival
	Took      time.Duration
	Method    string
	Path      string
	Query     string // as it came, encoded
	UserAgent string
	Endpoint  Endpoint
	Status    int // 0: the connection broke, or the client did not wait
}

// Values is the query, decoded; what does not parse is left out.
func (r Request) Values() url.Values {
	values, _ := url.ParseQuery(r.Query)
	return values
}

// Stats counts requests since the server was made.
type Stats struct {
	Requests  int
	Endpoints map[Endpoint]int
	Statuses  map[int]int
	Writes    int            // requests that were neither a GET nor a POST for a token
	Unknown   map[string]int // parameters that the endpoint does not know, by name
	Property  int            // requests with the property parameter
	Peak      int            // most authenticated calls that arrived within any ten seconds
	DailyUsed int            // calls counted against today's limit, those of other apps too
}

// mostUnknown bounds the names of unknown parameters that are counted one by one.
const mostUnknown = 1000

// requestLog is a ring of requests and their counts.
type requestLog struct {
	limit int
	ring  []Request
	next  int
	stats Stats
}

func newRequestLog(limit int) requestLog {
	return requestLog{limit: limit, stats: Stats{
		Endpoints: make(map[Endpoint]int), Statuses: make(map[int]int), Unknown: make(map[string]int),
	}}
}

// Requests is the newest requests in the order in which they were answered, at
// most Config.RequestLog.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Concat(s.requests.ring[s.requests.next:], s.requests.ring[:s.requests.next])
}

// Stats is a copy of the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.requests.stats
	stats.Endpoints = maps.Clone(stats.Endpoints)
	stats.Statuses = maps.Clone(stats.Statuses)
	stats.Unknown = maps.Clone(stats.Unknown)
	stats.Peak, stats.DailyUsed = s.meter.peak, s.meter.used
	return stats
}

// record notes an answered request.
func (s *Server) record(r *http.Request, a answer, b Behaviour, arrived time.Time) {
	endpoint, _ := route(r.URL.Path, b)
	request := Request{
		Time: arrived, Took: s.clock().Sub(arrived), Method: r.Method, Path: r.URL.Path,
		Query: r.URL.RawQuery, UserAgent: r.UserAgent(), Endpoint: endpoint, Status: a.status,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	log := &s.requests
	log.stats.Requests++
	log.stats.Endpoints[endpoint]++
	log.stats.Statuses[a.status]++
	if r.Method != http.MethodGet && (endpoint != EndpointToken || r.Method != http.MethodPost) {
		log.stats.Writes++
	}
	if len(log.ring) < log.limit {
		log.ring = append(log.ring, request)
		return
	}
	log.ring[log.next] = request
	log.next = (log.next + 1) % log.limit
}

// countParameters counts the parameters that HubSpot would ignore in silence, and
// the one that must not be sent.
func (s *Server) countParameters(endpoint Endpoint, r *http.Request) {
	known, judged := map[Endpoint][]string{
		EndpointThreads: listParameters[:],
		EndpointThread:  threadParameters[:],
		EndpointInboxes: {"after", "limit", "sort", "archived", "defaultPageLength"},
		EndpointAccount: nil,
	}[endpoint]
	if !judged || r.URL.RawQuery == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := &s.requests.stats
	for name := range r.URL.Query() {
		if !slices.Contains(known, name) && len(stats.Unknown) < mostUnknown {
			stats.Unknown[name]++
		}
		if name == "property" {
			stats.Property++
		}
	}
}
