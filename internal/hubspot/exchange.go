package hubspot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/threadcast/threadcast/internal/quota"
	"github.com/threadcast/threadcast/internal/thread"
)

// call is one question to HubSpot.
type call struct {
	endpoint   string // for metrics
	path       func(paths) string
	query      func(limit int) string // encoded; without limit it ignores the argument
	limit      int                    // threads a page; 0: the endpoint takes none
	cursor     bool                   // the question continues an earlier one
	object     bool                   // the question is about one object, which may be gone
	fixed      bool                   // the path does not depend on the version
	priority   quota.Priority
	onSend     func(thread.Instant)
	size       *atomic.Int64           // of such bodies, to begin the next with; may be nil
	understand func(body []byte) error // takes the answer; nothing of it is used after an error
}

// exchange is a call under way: its attempts, and when the last one was sent and
// had arrived as a whole.
type exchange struct {
	call
	client        *Client
	sent, arrived thread.Instant
	date          time.Time // HubSpot's, of the last answer; zero: not told

	attempts  int
	malformed int
	switched  int // versions tried in vain
	version   int64
	refreshed bool
	shrunk    bool // the page size is on trial
	pause     time.Duration
	last      *Error
}

const (
	// maxMalformed is how often a body that cannot be understood is asked for.
	maxMalformed = 3
	firstPause   = 250 * time.Millisecond
	maxPause     = 30 * time.Second
)

var errAttemptTimeout = fmt.Errorf("no answer within %v", attemptTimeout)

// do makes the call until it is answered, the context is done or trying again is
// of no use.
func (c *Client) do(ctx context.Context, question call) (*exchange, error) {
	e := &exchange{call: question, client: c}
	err := backoff.Retry(func() error { return e.once(ctx) }, backoff.WithContext(e, ctx))
	switch {
	case err == nil:
		return e, nil
	case ctx.Err() == nil || e.last == nil:
		return e, err
	}
	return e, fmt.Errorf("%w (last: %v)", context.Cause(ctx), e.last)
}

// Reset is part of backoff.BackOff.
func (e *exchange) Reset() {}

// NextBackOff is the pause that the last failure asks for; part of backoff.BackOff.
func (e *exchange) NextBackOff() time.Duration { return e.pause }

func (e *exchange) once(ctx context.Context) error {
	ticket, err := e.client.acquire(ctx, e.priority)
	if err != nil {
		return backoff.Permanent(err)
	}
	failure := e.attempt(ctx, ticket)
	switch {
	case failure == nil:
		e.succeed()
		return nil
	case ctx.Err() != nil:
		return backoff.Permanent(context.Cause(ctx))
	}
	e.last = failure
	if !e.again(failure) {
		return backoff.Permanent(failure)
	}
	e.client.warn(ctx, e.endpoint+" "+failure.Class.String(), "hubspot call not answered, trying again",
		"endpoint", e.endpoint, "status", failure.Status, "err", failure)
	return failure
}

// acquire waits for the governor's permit.
func (c *Client) acquire(ctx context.Context, priority quota.Priority) (*quota.Ticket, error) {
	governor := c.config.Governor
	ticket := governor.Join(priority)
	for ctx.Err() == nil {
		wait, changed, err := governor.Try(ticket, quota.Moment(c.config.Clock()))
		if err != nil {
			governor.Leave(ticket)
			return nil, fmt.Errorf("count a call: %w: %w", thread.ErrState, err)
		}
		if wait == 0 {
			return ticket, nil
		}
		c.warnParked(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
	governor.Leave(ticket)
	return nil, context.Cause(ctx)
}

// warnParked tells, once a minute, that calls wait for longer than a moment.
func (c *Client) warnParked(ctx context.Context) {
	now := c.config.Clock()
	state := c.config.Governor.State(quota.Moment(now))
	if left := state.ParkedUntil.Sub(now.Wall); left > longWait {
		c.warn(ctx, state.Reason, "hubspot calls are parked",
			"until", state.ParkedUntil, "calls_today", state.CallsToday, "limit_today", state.LimitToday)
	}
}

// longWait is what a person may want to know about.
const longWait = 30 * time.Second

// attempt sends the request once, and reports to the governor how it went.
func (e *exchange) attempt(ctx context.Context, ticket *quota.Ticket) *Error {
	c := e.client
	limits := quota.Limits{}
	outcome, retryAfter := quota.Abandoned, time.Duration(0)
	defer func() {
		c.config.Governor.Report(ticket, quota.Moment(c.config.Clock()),
			quota.Answer{Outcome: outcome, RetryAfter: retryAfter, Limits: limits})
	}()
	token, err := c.config.Token.Token()
	if err != nil {
		return &Error{Class: ClassAuth, Err: err}
	}
	var used paths
	used, e.version = c.version.current()
	limit := e.pageLimit()
	e.attempts++
	bounded, cancel := context.WithTimeoutCause(ctx, attemptTimeout, errAttemptTimeout)
	defer cancel()
	request, err := c.request(bounded, e.path(used), e.query(limit), token)
	if err != nil {
		return &Error{Class: ClassConfig, Err: err}
	}
	response, body, failure := e.send(request)
	if response != nil {
		limits = quota.ReadLimits(response.Header.Get)
	}
	if failure == nil {
		failure = e.judge(response, body, token)
	}
	e.observe(response, len(body), failure)
	if ctx.Err() == nil || failure == nil {
		outcome, retryAfter = outcomeOf(failure)
	}
	return failure
}

func (c *Client) request(ctx context.Context, path, query string, token Secret) (*http.Request, error) {
	target := *c.base
	target.Path += path
	target.RawQuery = query
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if request.URL.Host != c.base.Host {
		return nil, errors.New("make request: it would leave the configured host")
	}
	request.Header.Set("Authorization", "Bearer "+token.Reveal())
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Accept-Encoding", "gzip")
	if c.config.UserAgent != "" {
		request.Header.Set("User-Agent", c.config.UserAgent)
	}
	return request, nil
}

// send sends the request and reads the whole answer. It uses the transport alone,
// which follows no redirect: Go's client would take the token to sub-domains.
func (e *exchange) send(request *http.Request) (*http.Response, []byte, *Error) {
	c := e.client
	e.sent = c.config.Clock()
	e.arrived, e.date = e.sent, time.Time{}
	if e.onSend != nil {
		e.onSend(e.sent)
	}
	response, err := c.config.HTTP.RoundTrip(request)
	if err != nil {
		e.arrived = c.config.Clock()
		return nil, nil, &Error{Class: ClassRetry, Err: plain(request.Context(), err)}
	}
	defer response.Body.Close()
	limit, size, good := c.bodies.limit, e.size, response.StatusCode/100 == 2
	if !good {
		limit, size = maxErrorBody, nil
	}
	body, err := c.bodies.read(response, size, limit)
	e.arrived = c.config.Clock()
	e.date = dateOf(response)
	var unfit *bodyError
	switch {
	case err == nil:
		return response, body, nil
	case !good && errors.As(err, &unfit):
		return response, nil, nil // the status has to do
	case good && lost(err) && request.Context().Err() == nil:
		return response, nil, &Error{Class: ClassAnswer, Status: response.StatusCode, Err: err}
	}
	return response, nil, &Error{Class: ClassRetry, Status: response.StatusCode, Err: plain(request.Context(), err)}
}

// lost says that the body itself is at fault, not the connection.
func lost(err error) bool {
	var body *bodyError
	return errors.As(err, &body) || errors.Is(err, io.ErrUnexpectedEOF)
}

// plain is a transport's error, or the reason for which the attempt was ended.
func plain(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errAttemptTimeout) {
		return errAttemptTimeout
	}
	return err
}

// judge takes the answer's body, or says why it is none.
func (e *exchange) judge(response *http.Response, body []byte, token Secret) *Error {
	if response.StatusCode/100 != 2 {
		body = bytes.ReplaceAll(body, []byte(token.Reveal()), []byte(redacted))
		failure := classify(response, body, e.call, e.arrived.Wall)
		if failure.Class == ClassAuth {
			failure.Token = token
		}
		return failure
	}
	if err := e.understand(body); err != nil {
		return &Error{Class: ClassAnswer, Status: response.StatusCode, Err: err}
	}
	return nil
}

// again says whether to try once more, and sets the pause before it.
func (e *exchange) again(failure *Error) bool {
	e.pause = 0
	switch {
	case failure.Status == http.StatusUnauthorized && e.renew(failure.Token):
		return true
	case failure.Status == http.StatusNotFound && failure.Class == ClassConfig && e.nextVersion():
		return true
	case failure.Status == http.StatusBadRequest && e.shrink(failure):
		return true
	case e.client.config.Attempts > 0 && e.attempts >= e.client.config.Attempts:
		return false
	}
	switch failure.Class {
	case ClassRetry:
		e.pause = e.backoff(e.attempts)
		return true
	case ClassWait, ClassPause: // the governor holds everybody
		return true
	case ClassAnswer:
		e.malformed++
		e.pause = e.backoff(e.malformed)
		return e.malformed < maxMalformed
	}
	return false
}

// backoff is a quarter more or less than firstPause, doubled with each attempt.
func (e *exchange) backoff(attempt int) time.Duration {
	pause := maxPause
	if attempt < 8 {
		pause = min(firstPause<<(attempt-1), maxPause)
	}
	return time.Duration(float64(pause) * (0.75 + e.client.config.Jitter()/2))
}

// renew reads the token anew after a 401; true if it is another one by now.
func (e *exchange) renew(refused Secret) bool {
	if e.refreshed {
		return false
	}
	e.refreshed = true
	fresh, err := e.client.config.Token.Refresh()
	return err == nil && fresh != refused
}

// nextVersion goes on to the next version of the API, each once.
func (e *exchange) nextVersion() bool {
	if e.switched++; e.fixed || e.switched >= len(e.client.version.paths) {
		return false
	}
	e.client.version.advance(e.version)
	return true
}

// pageLimit is the number of threads to ask for.
func (e *exchange) pageLimit() int {
	limit := min(e.limit, int(e.client.pageSize.Load()))
	if e.shrunk {
		limit = min(limit, smallPageSize)
	}
	return limit
}

// shrink tries a smaller page after a 400 that speaks of the limit, or of which
// the limit may be the cause as none so large was ever answered.
func (e *exchange) shrink(failure *Error) bool {
	limit := e.pageLimit()
	if limit <= smallPageSize || e.shrunk {
		return false
	}
	if !failure.limit && int(e.client.provenFor.Load()) >= limit {
		return false
	}
	e.shrunk = true
	return true
}

// succeed remembers what the answer proves about the page size.
func (e *exchange) succeed() {
	if e.limit == 0 {
		return
	}
	limit := int64(e.pageLimit())
	if e.shrunk {
		e.client.pageSize.Store(limit)
		return
	}
	if e.client.provenFor.Load() < limit {
		e.client.provenFor.Store(limit)
	}
}

func (e *exchange) observe(response *http.Response, size int, failure *Error) {
	observe := e.client.config.Observe
	if observe == nil {
		return
	}
	attempt := Attempt{Endpoint: e.endpoint, Took: e.arrived.Mono - e.sent.Mono, Bytes: size}
	if response != nil {
		attempt.Status = response.StatusCode
		if !e.date.IsZero() {
			attempt.Skew = e.arrived.Wall.Sub(e.date).Truncate(time.Second)
		}
	}
	if failure != nil {
		attempt.Class = failure.Class
	}
	observe(attempt)
}

// dateOf is an answer's Date header, HubSpot's clock to the second; zero if there
// is none.
func dateOf(response *http.Response) time.Time {
	date, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return date.UTC()
}

// retryAfter reads a Retry-After header: seconds, or a date; zero if it says
// neither. HubSpot documents it for 477 alone.
func retryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}
