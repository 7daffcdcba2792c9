package hubspottest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Endpoint is a part of the API that the fake serves.
type Endpoint string

// The endpoints; EndpointNone is any other path.
const (
	EndpointNone    Endpoint = ""
	EndpointThreads Endpoint = "threads"
	EndpointThread  Endpoint = "thread"
	EndpointInboxes Endpoint = "inboxes"
	EndpointAccount Endpoint = "account"
	EndpointToken   Endpoint = "token"
)

// ThreadsPath is the path of the list of threads in a version.
func ThreadsPath(version string) string {
	if version == VersionV3 {
		return "/conversations/v3/conversations/threads"
	}
	return "/conversations/conversations/" + version + "/threads"
}

// InboxesPath is the path of the list of inboxes in a version.
func InboxesPath(version string) string {
	return strings.TrimSuffix(ThreadsPath(version), "threads") + "inboxes"
}

// AccountPath is the path of the account's details in a version.
func AccountPath(version string) string { return "/account-info/" + version + "/details" }

// route says what a path is for; id is the last segment of a thread's path.
func route(path string, b Behaviour) (endpoint Endpoint, id string) {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	switch {
	case len(segments) >= 4 && segments[0] == "conversations":
		return routeConversations(segments, b)
	case len(segments) == 3 && segments[0] == "account-info" && segments[2] == "details":
		if answers(b.AccountVersions, segments[1], Version202609, VersionV3) {
			return EndpointAccount, ""
		}
	case len(segments) == 3 && segments[0] == "oauth" && segments[2] == "token":
		return EndpointToken, ""
	}
	return EndpointNone, ""
}

func routeConversations(segments []string, b Behaviour) (Endpoint, string) {
	version := segments[2]
	if version == "conversations" {
		version = segments[1]
	}
	dated := segments[1] == "conversations" && version != VersionV3
	v3 := segments[2] == "conversations" && version == VersionV3
	if !dated && !v3 || !answers(b.Versions, version, Version202609Beta, Version202609, VersionV3) {
		return EndpointNone, ""
	}
	switch {
	case len(segments) == 4 && segments[3] == "threads":
		return EndpointThreads, ""
	case len(segments) == 4 && segments[3] == "inboxes":
		return EndpointInboxes, ""
	case len(segments) == 5 && segments[3] == "threads" && segments[4] != "":
		return EndpointThread, segments[4]
	}
	return EndpointNone, ""
}

// answers says whether a version is among those that are on, by default all that
// exist.
func answers(on []string, version string, existing ...string) bool {
	return slices.Contains(existing, version) && (on == nil || slices.Contains(on, version))
}

// handle answers a request as HubSpot would.
func (s *Server) handle(r *http.Request, b Behaviour, compressed bool) answer {
	endpoint, id := route(r.URL.Path, b)
	s.countParameters(endpoint, r)
	switch {
	case endpoint == EndpointToken && r.Method == http.MethodPost:
		return jsonAnswer(http.StatusBadRequest, []byte(`{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}`))
	case r.Method != http.MethodGet:
		return *methodNotAllowed()
	case endpoint == EndpointNone || endpoint == EndpointToken:
		return *pathNotFound(b.HTMLNotFound)
	}
	if refused := authorize(r, endpoint, b); refused != nil {
		return *refused
	}
	refused := s.admit(b)
	var a answer
	switch {
	case refused != nil:
		a = *refused
	case endpoint == EndpointThreads:
		a = s.threads(r, b, compressed)
	case endpoint == EndpointThread:
		a = s.thread(r, id, b)
	case endpoint == EndpointInboxes:
		a = s.listInboxes(r, b)
	default:
		a = s.accountDetails()
	}
	s.rateHeaders(a.header, b)
	return a
}

// authorize checks the token and its scopes.
func authorize(r *http.Request, endpoint Endpoint, b Behaviour) *answer {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	known := b.Tokens
	if known == nil {
		known = []string{DefaultToken}
	}
	switch {
	case !ok || !slices.Contains(known, token):
		return unauthorized()
	case b.Expired:
		return expired()
	case endpoint == EndpointAccount && b.AccountRefused:
		return missingScopes("oauth")
	case endpoint != EndpointAccount && b.MissingScopes:
		return missingScopes("conversations.read")
	}
	return nil
}

func (s *Server) admit(b Behaviour) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meter.admit(s.clock(), s.location, b)
}

func (s *Server) rateHeaders(h http.Header, b Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meter.headers(h, s.clock(), b.Limits)
}

// threads answers the list of threads.
func (s *Server) threads(r *http.Request, b Behaviour, compressed bool) answer {
	q, refused := parseList(r.URL.Query(), b)
	if refused != nil {
		return *refused
	}
	return s.listThreads(r.URL.Path, q, b, compressed)
}

// thread answers one thread. An archived one is found with archived=true only, and
// one that is not archived without it only.
func (s *Server) thread(r *http.Request, text string, b Behaviour) answer {
	query := r.URL.Query()
	id, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return *invalid("not a thread id: " + text)
	}
	archived, refused := readBool(query, "archived")
	if refused != nil {
		return *refused
	}
	tickets, refused := readAssociation(query)
	if refused != nil {
		return *refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pos, found := s.table.find(id)
	if !found {
		return *objectNotFound()
	}
	rec := &s.table.records[pos]
	if rec.has(flagPurged) || rec.has(flagArchived) != archived {
		return *objectNotFound()
	}
	return jsonAnswer(http.StatusOK, s.table.appendThread(nil, rec, tickets, b.Extra))
}

// sleep waits, or ends with the request. False: the client is gone.
func sleep(r *http.Request, wait time.Duration) bool {
	if wait <= 0 {
		return r.Context().Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
