package hubspot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// Whatever passes is waited out, as long as it takes, and its answer is used.
func TestRetriesUntilAnswered(t *testing.T) {
	after := func(seconds string) map[string]string { return map[string]string{"Retry-After": seconds} }
	tests := map[string]struct {
		reply *reply
		times int
		least time.Duration
		most  time.Duration
	}{
		"500":                  {bad(500, ""), 1, 250 * time.Millisecond, time.Second},
		"502 as a web page":    {bad(502, "<html>"), 10, 10 * time.Second, 5 * time.Minute},
		"504 for long":         {bad(504, "{}"), 60, 10 * time.Minute, time.Hour},
		"connection refused":   {&reply{err: errors.New("connection refused")}, 3, time.Second, 20 * time.Second},
		"no answer":            {nil, 1, 30 * time.Second, 40 * time.Second},
		"body cut off":         {&reply{status: 200, body: "{", broken: errors.New("reset by peer")}, 2, 500 * time.Millisecond, 10 * time.Second},
		"423":                  {bad(423, ""), 1, 2 * time.Second, 3 * time.Second},
		"429 ten secondly":     {bad(429, `{"errorType":"RATE_LIMIT","policyName":"TEN_SECONDLY_ROLLING"}`), 2, 30 * time.Second, 35 * time.Second},
		"429 secondly":         {bad(429, `{"policyName":"SECONDLY"}`), 1, time.Second, 2 * time.Second},
		"429 by message":       {bad(429, `{"message":"You have reached your secondly limit."}`), 1, time.Second, 2 * time.Second},
		"429 with Retry-After": {&reply{status: 429, header: after("4"), body: "{}"}, 1, 4 * time.Second, 5 * time.Second},
		"429 daily":            {bad(429, `{"policyName":"DAILY"}`), 3, 7 * time.Minute, 8 * time.Minute},
		"477 for a day":        {&reply{status: 477, header: after("86400")}, 1, 24 * time.Hour, 24*time.Hour + time.Minute},
		"403 of the edge":      {bad(403, "<!DOCTYPE html>"), 1, time.Minute, 2 * time.Minute},
		"truncated twice":      {ok("{"), 2, 500 * time.Millisecond, 5 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, f := connect(t, func(n int, _ *http.Request) *reply {
					if n <= test.times {
						return test.reply
					}
					return ok(page("", 1))
				}, nil)
				start := time.Now()
				got, err := client.List(t.Context(), thread.Query{})
				took := time.Since(start)
				if err != nil || len(got.Items) != 1 || f.count() != test.times+1 {
					t.Errorf("%d items, %v, after %d requests", len(got.Items), err, f.count())
				}
				if took < test.least || took > test.most {
					t.Errorf("took %v, want %v to %v", took, test.least, test.most)
				}
			})
		})
	}
}

// What does not pass is returned at once, and says what to do.
func TestErrorsThatArePermanent(t *testing.T) {
	scopes := `{"status":"error","category":"MISSING_SCOPES","correlationId":"c-9","errors":[{"message":"m","context":{"requiredGranularScopes":["conversations.read"]}}]}`
	tests := map[string]struct {
		query thread.Query
		reply *reply
		class Class
		want  []string
	}{
		"401":              {thread.Query{}, bad(401, `{"category":"INVALID_AUTHENTICATION","message":"token `+testToken+` of jo@example.org is bad"}`), ClassAuth, []string{"401", "INVALID_AUTHENTICATION", "hubspot.auth"}},
		"403 scopes":       {thread.Query{}, bad(403, scopes), ClassScope, []string{"MISSING_SCOPES", "conversations.read", "c-9"}},
		"403 bare":         {thread.Query{}, bad(403, ""), ClassScope, []string{"conversations.read"}},
		"404":              {thread.Query{}, bad(404, `{"category":"OBJECT_NOT_FOUND"}`), ClassConfig, []string{"api_version"}},
		"400":              {thread.Query{}, bad(400, `{"category":"VALIDATION_ERROR","message":"Only one inboxId filter is allowed for this query."}`), ClassConfig, []string{"Only one inboxId"}},
		"400 for a cursor": {thread.Query{Cursor: "x"}, bad(400, `{"message":"bad after"}`), ClassCursor, []string{"400"}},
		"414":              {thread.Query{}, bad(414, ""), ClassConfig, []string{"414"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, f := connect(t, func(int, *http.Request) *reply { return test.reply }, func(c *Config) { c.PageSize = smallPageSize })
				_, err := client.List(t.Context(), test.query)
				var failure *Error
				if !errors.As(err, &failure) || failure.Class != test.class || f.count() != 1 {
					t.Fatalf("err %v after %d requests, want class %v after one", err, f.count(), test.class)
				}
				for _, want := range test.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q does not say %q", err, want)
					}
				}
				if strings.Contains(err.Error(), testToken) || strings.Contains(err.Error(), "@") {
					t.Errorf("%q shows the token or an address", err)
				}
				if errors.Is(err, thread.ErrCursor) != (test.class == ClassCursor) {
					t.Errorf("%v: only a refused cursor is ErrCursor", err)
				}
				if errors.Is(err, thread.ErrNotFound) {
					t.Error("a list can not be proof that something is gone")
				}
			})
		})
	}
}

func TestErrorEnvelopesAreReadLeniently(t *testing.T) {
	for _, body := range []string{
		`{"message":7,"errors":"x","category":null}`, `{"errors":[1,{"context":[]},{"context":{"requiredGranularScopes":[1]}}]}`, `[]`, `"x"`, "\xff", strings.Repeat("[", 10_000),
	} {
		if e := readEnvelope([]byte(body)); e.message != "" || e.category != "" || len(e.scopes) != 0 {
			t.Errorf("%q read as %+v", body, e)
		}
	}
	long := readEnvelope([]byte(`{"message":"` + strings.Repeat("é\\n", 1000) + `"}`))
	if len(long.message) > maxMessage || strings.Contains(long.message, "\n") {
		t.Errorf("message of %d bytes: %q", len(long.message), long.message)
	}
}

// A token that was rotated while a call was out is used without anybody noticing.
func TestTokenIsReadAgainAfter401(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "token")
		write(t, path, "old")
		client, f := connect(t, func(n int, r *http.Request) *reply {
			if r.Header.Get("Authorization") == "Bearer new" {
				return ok(page("", 1))
			}
			write(t, path, "new")
			return bad(401, `{"category":"EXPIRED_AUTHENTICATION"}`)
		}, func(c *Config) { c.Token = FileToken(path, c.Clock) })
		if _, err := client.List(t.Context(), thread.Query{}); err != nil || f.count() != 2 {
			t.Errorf("%v after %d requests, want success after 2", err, f.count())
		}
	})
}

func TestRefusedTokenIsNamedToWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := connect(t, func(int, *http.Request) *reply { return bad(401, "") }, nil)
		_, err := client.List(t.Context(), thread.Query{})
		var failure *Error
		if !errors.As(err, &failure) || failure.Token != NewSecret(testToken) {
			t.Errorf("err %v does not hold the refused token", err)
		}
	})
}

func TestUnreadableTokenSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, f := connect(t, nil, func(c *Config) { c.Token = FileToken(filepath.Join(t.TempDir(), "none"), c.Clock) })
		_, err := client.List(t.Context(), thread.Query{})
		var failure *Error
		if !errors.As(err, &failure) || failure.Class != ClassAuth || !errors.Is(err, fs.ErrNotExist) || f.count() != 0 {
			t.Errorf("err %v after %d requests", err, f.count())
		}
	})
}

// An hour of 429 costs few calls, however many workers there are, and all go on
// when it is over.
func TestStormIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		client, f := connect(t, func(int, *http.Request) *reply {
			if time.Since(start) < time.Hour {
				return bad(429, `{"policyName":"TEN_SECONDLY_ROLLING"}`)
			}
			return ok(page("", 1))
		}, nil)
		done := make(chan error, 8)
		for range 8 {
			go func() {
				_, err := client.List(t.Context(), thread.Query{Lane: thread.LaneFull})
				done <- err
			}()
		}
		for range 8 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took > time.Hour+90*time.Second {
			t.Errorf("went on after %v", took)
		}
		if f.count() > 85 {
			t.Errorf("%d requests in an hour of refusals, want at most 85", f.count())
		}
	})
}

func TestAttemptsCanBeLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, f := connect(t, func(int, *http.Request) *reply { return bad(503, "") }, func(c *Config) { c.Attempts = 1 })
		_, err := client.Account(t.Context())
		var failure *Error
		if !errors.As(err, &failure) || failure.Class != ClassRetry || f.count() != 1 {
			t.Errorf("err %v after %d requests", err, f.count())
		}
	})
}

func TestLastFailureIsToldWhenTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		client, _ := connect(t, func(int, *http.Request) *reply { return bad(503, "") }, nil)
		_, err := client.List(ctx, thread.Query{})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "503") {
			t.Errorf("err %v, want the deadline and the last answer", err)
		}
	})
}

func TestRetriesAreLoggedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var attempts []Attempt
		client, _ := connect(t, func(n int, _ *http.Request) *reply {
			if n < 30 {
				return bad(500, `{"message":"sorry"}`)
			}
			return ok(page("", 1))
		}, func(c *Config) {
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			c.Observe = func(a Attempt) { attempts = append(attempts, a) }
		})
		start := time.Now()
		if _, err := client.List(t.Context(), thread.Query{}); err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(log.String(), "\n")
		if most := int(time.Since(start).Minutes()) + 1; lines < 1 || lines > most {
			t.Errorf("%d lines in %v, want at most one a minute:\n%s", lines, time.Since(start), log.String())
		}
		if len(attempts) != 30 || attempts[0].Class != ClassRetry || attempts[29].Class != 0 || attempts[29].Bytes == 0 {
			t.Errorf("%d attempts observed, the last is %+v", len(attempts), attempts[len(attempts)-1])
		}
	})
}

func TestParkingIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		client, _ := connect(t, func(n int, _ *http.Request) *reply {
			if n == 1 {
				return &reply{status: 477, header: map[string]string{"Retry-After": "3600"}}
			}
			return ok(page("", 1))
		}, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		if _, err := client.List(t.Context(), thread.Query{}); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(log.String(), "hubspot calls are parked"); lines < 1 || lines > 61 || !strings.Contains(log.String(), "reason=account_migrating") {
			t.Errorf("%d lines about an hour of parking, want 1 to 61:\n%.500s", lines, log.String())
		}
	})
}

// A deleted thread whose answer is cut off is asked for again, not given up.
func TestErrorBodyThatIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, f := connect(t, func(n int, _ *http.Request) *reply {
			answer := bad(404, `{"category":"OBJECT_NOT_FOUND"}`)
			if n == 1 {
				answer.body, answer.broken = answer.body[:9], io.ErrUnexpectedEOF
			}
			return answer
		}, nil)
		if _, err := client.Get(t.Context(), 7, false, nil); !errors.Is(err, thread.ErrNotFound) || f.count() != 2 {
			t.Errorf("err %v after %d requests, want ErrNotFound after 2", err, f.count())
		}
	})
}

func TestLedgerErrorIsReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk full")
		client, f := connect(t, nil, func(c *Config) { c.Governor = governorWith(t, full) })
		if _, err := client.List(t.Context(), thread.Query{}); !errors.Is(err, full) || f.count() != 0 {
			t.Errorf("err %v after %d requests, want the ledger's before any", err, f.count())
		}
	})
}

// The one method that the sources know is GET.
func TestSourcesOnlyRead(t *testing.T) {
	writes := regexp.MustCompile(`http\.Method(Post|Put|Patch|Delete|Head|Options|Connect|Trace)|"(POST|PUT|PATCH|DELETE|HEAD)"|\.(Post|PostForm|Head)\(|http\.(NewRequest|Get|DefaultClient|DefaultTransport)\b`)
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sources: %v", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := writes.Find(source); found != nil {
			t.Errorf("%s has %s: this package only reads", name, found)
		}
	}
}
