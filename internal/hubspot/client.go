// Package hubspot is the REST client: it asks for pages and single threads, keeps
// to the quota, retries what passes, and splits pages without decoding them. It
// only ever reads: the one method it sends is GET. It must not remember anything
// about threads, nor decide when to read what.
//
// What is retried, and for how long: every call goes on until it is answered or
// its context is done, through 5xx, 423, 429, 477, blocks by the edge and lost
// connections, with capped and jittered pauses and at the pace of the governor.
// A body that cannot be understood is asked for three times. Refused tokens,
// missing scopes and refused requests are returned at once, as *Error.
package hubspot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/threadcast/threadcast/internal/quota"
	"github.com/threadcast/threadcast/internal/thread"
)

// DefaultBaseURL is the only host that HubSpot's specifications list.
const DefaultBaseURL = "https://api.hubapi.com"

// VersionAuto tries the versions in turn until one is there.
const VersionAuto = "auto"

const (
	// MaxPageSize is HubSpot's documented maximum of threads a page.
	MaxPageSize = 500
	// smallPageSize is what many clients believe to be the maximum; every version
	// of the API takes it.
	smallPageSize = 100
	// maxBody caps the decoded body of an answer; a page of 500 threads has 0.3 MB.
	maxBody = 32 << 20
	// attemptTimeout ends an attempt: HubSpot's edge gives up after 100 s, and what
	// was not answered in 30 s seldom is.
	attemptTimeout = 30 * time.Second
)

// Config says which HubSpot to read and how.
type Config struct {
	BaseURL   string            // "": DefaultBaseURL; a path prefix is kept
	Version   string            // 2026-09-beta, 2026-09, v3 or auto; "": auto
	HTTP      http.RoundTripper // nil: a transport of its own
	Clock     thread.Clock
	Governor  *quota.Governor
	Token     TokenSource
	UserAgent string         // "threadcast/<version>"
	Kinds     thread.KindSet // seeds the hashes
	Logger    *slog.Logger   // nil: silent
	PageSize  int            // 0: MaxPageSize
	Jitter    func() float64 // random numbers from 0 to 1, below 1; for many goroutines
	Attempts  int            // 0: until the context is done; 1: never retry
	// Observe hears of every attempt; for metrics. It must be quick.
	Observe func(Attempt)
}

// Attempt is one request and what became of it.
type Attempt struct {
	Endpoint string        // threads, thread, inboxes, account
	Status   int           // 0: no answer
	Class    Class         // 0: understood
	Took     time.Duration // from sending to the end of the body
	Bytes    int           // of the body, decoded
	Skew     time.Duration // of HubSpot's Date to our wall clock, to the second; 0 if unknown
}

// Client reads one account. Its methods may be called by many goroutines at once.
type Client struct {
	config  Config
	base    *url.URL
	seed    uint64
	bodies  bodyReader
	version versions

	listSize  atomic.Int64 // bytes of the last page, to begin reading the next with
	pageSize  atomic.Int64 // asked for; smaller once a limit was refused
	provenFor atomic.Int64 // largest limit that was answered
	warned    sync.Map     // reason -> *atomic.Int64, monotonic time of the last line
}

// New makes a client. It sends nothing; an error names the configuration key.
func New(config Config) (*Client, error) {
	if config.Clock == nil || config.Governor == nil || config.Token == nil || config.Jitter == nil {
		return nil, errors.New("hubspot client needs a clock, a governor, a token and a source of jitter")
	}
	base, err := parseBase(config.BaseURL)
	if err != nil {
		return nil, err
	}
	list, err := pathsOf(config.Version)
	if err != nil {
		return nil, err
	}
	if config.PageSize == 0 {
		config.PageSize = MaxPageSize
	}
	if config.PageSize < 1 || config.PageSize > MaxPageSize {
		return nil, fmt.Errorf("page size %d: want 1 to %d", config.PageSize, MaxPageSize)
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.HTTP == nil {
		config.HTTP = newTransport()
	}
	client := &Client{config: config, base: base, seed: Seed(config.Kinds), version: versions{paths: list}}
	client.bodies.limit = maxBody
	client.pageSize.Store(int64(config.PageSize))
	return client, nil
}

// Close lets go of idle connections.
func (c *Client) Close() {
	if transport, ok := c.config.HTTP.(interface{ CloseIdleConnections() }); ok {
		transport.CloseIdleConnections()
	}
}

// Version names the version of the API that answers, as far as is known.
func (c *Client) Version() string {
	paths, _ := c.version.current()
	return paths.version
}

// WaitToken blocks until there is another usable token than the refused one, or the
// context ends. It answers ErrTokenFixed if that cannot happen.
func (c *Client) WaitToken(ctx context.Context, refused Secret) error {
	return c.config.Token.WaitChange(ctx, refused)
}

func parseBase(text string) (*url.URL, error) {
	if text == "" {
		text = DefaultBaseURL
	}
	base, err := url.Parse(strings.TrimRight(text, "/"))
	switch {
	case err != nil:
		return nil, fmt.Errorf("hubspot.base_url: %w", err)
	case base.Scheme != "https" && base.Scheme != "http":
		return nil, fmt.Errorf("hubspot.base_url %q: want http:// or https://", text)
	case base.Host == "":
		return nil, fmt.Errorf("hubspot.base_url %q has no host", text)
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("hubspot.base_url: want scheme, host and path alone; the token belongs into hubspot.auth")
	}
	return base, nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		ResponseHeaderTimeout:  attemptTimeout,
		DisableCompression:     true, // bodies are inflated here, by a faster reader
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// warn writes one line a minute for each reason.
func (c *Client) warn(ctx context.Context, reason, message string, attributes ...any) {
	now := int64(c.config.Clock().Mono) + 1
	entry, _ := c.warned.LoadOrStore(reason, new(atomic.Int64))
	last := entry.(*atomic.Int64)
	before := last.Load()
	if before != 0 && now-before < int64(time.Minute) || !last.CompareAndSwap(before, now) {
		return
	}
	c.config.Logger.WarnContext(ctx, message, append(attributes, "reason", reason)...)
}
