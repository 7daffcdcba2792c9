package hubspottest

import (
	"bytes"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"
)

// Fault decides, before all else, whether a request goes wrong, and how. It is
// called without any lock held and may call the server's methods.
type Fault func(r *http.Request) (handled Response, ok bool)

// Response is an answer gone wrong. With a Status it takes the place of the right
// one; without, the right answer is altered by Rewrite. The rest applies to both.
type Response struct {
	Status int
	Header http.Header
	Body   []byte

	Rewrite func(r *http.Request, body []byte) []byte // gets the body before compression

	Pad   int64         // so many bytes of white space follow the body
	Cut   int           // the connection breaks after so many bytes; 0: it does not
	Drop  bool          // the connection breaks before the answer
	Delay time.Duration // the answer is kept back for so long
}

// faulty answers with a fault's response; the zero response is no fault.
func (s *Server) faulty(f Response, r *http.Request, b Behaviour, compressed bool) answer {
	var a answer
	switch {
	case f.Drop:
		return answer{drop: true}
	case f.Status != 0:
		a = answer{status: f.Status, header: f.Header.Clone(), body: f.Body}
		if a.header == nil {
			a.header = make(http.Header)
		}
	default:
		a = s.handle(r, b, compressed && f.Rewrite == nil)
		if f.Rewrite != nil {
			a.body = f.Rewrite(r, a.body)
		}
	}
	a.pad, a.cut = f.Pad, f.Cut
	return a
}

// Always lets every request go wrong.
func Always(response Response) Fault {
	return func(*http.Request) (Response, bool) { return response, true }
}

// Times lets the first n requests go wrong.
func Times(n int, response Response) Fault {
	var seen atomic.Int64
	return func(*http.Request) (Response, bool) {
		return response, seen.Add(1) <= int64(n)
	}
}

// Nth lets the nth request go wrong, the first being 1.
func Nth(n int, response Response) Fault {
	var seen atomic.Int64
	return func(*http.Request) (Response, bool) {
		return response, seen.Add(1) == int64(n)
	}
}

// On limits a fault to the requests of one endpoint, whatever their version.
func On(endpoint Endpoint, fault Fault) Fault {
	return func(r *http.Request) (Response, bool) {
		if at, _ := route(r.URL.Path, Behaviour{}); at != endpoint {
			return Response{}, false
		}
		return fault(r)
	}
}

// Page is an HTML page, as HubSpot's edge answers 502 and 520 with, or, with 200,
// a login page.
func Page(status int) Response {
	a := htmlAnswer(status)
	return Response{Status: a.status, Header: a.header, Body: a.body}
}

// Trouble is an error with HubSpot's envelope.
func Trouble(status int, category, message string) Response {
	return envelope(*problem{status: status, category: category, message: message}.answer())
}

// TooMany is a 429 by a policy: DAILY, TEN_SECONDLY_ROLLING or SECONDLY. A negative
// wait leaves Retry-After out.
func TooMany(policy string, retryAfter time.Duration) Response {
	return envelope(*tooMany(policy, policy, retryAfter, retryAfter >= 0))
}

// Migrating is a 477: the account moves to other hosting, for up to 24 hours.
func Migrating(retryAfter time.Duration) Response {
	response := Trouble(477, "MIGRATION_IN_PROGRESS", "This account is being migrated.")
	response.Header.Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	return response
}

func envelope(a answer) Response {
	return Response{Status: a.status, Header: a.header, Body: a.body}
}

// JSON is a 200 with any body: {} is a page without results.
func JSON(body string) Response {
	return envelope(jsonAnswer(http.StatusOK, []byte(body)))
}

// Redirect is a 302 to another place.
func Redirect(location string) Response {
	return Response{Status: http.StatusFound, Header: http.Header{"Location": {location}}}
}

// Truncated is the right answer, ended in the middle, with a length that fits.
func Truncated() Response {
	return Response{Rewrite: func(_ *http.Request, body []byte) []byte { return body[:len(body)/2] }}
}

// Huge is the right answer followed by so many bytes of white space.
func Huge(size int64) Response { return Response{Pad: size} }

// WrongTypes is the right answer with ids as numbers, times as Unix milliseconds
// and booleans as texts.
func WrongTypes() Response {
	ids := regexp.MustCompile(`"id":"(\d+)"`)
	times := regexp.MustCompile(`At":"([^"]+Z)"`)
	bools := regexp.MustCompile(`:(true|false)\b`)
	return Response{Rewrite: func(_ *http.Request, body []byte) []byte {
		body = ids.ReplaceAll(body, []byte(`"id":$1`))
		body = bools.ReplaceAll(body, []byte(`:"$1"`))
		return times.ReplaceAllFunc(body, func(found []byte) []byte {
			at, err := time.Parse(time.RFC3339Nano, string(times.FindSubmatch(found)[1]))
			if err != nil {
				return found
			}
			return strconv.AppendInt([]byte(`At":`), at.UnixMilli(), 10)
		})
	}}
}

// RepeatedCursor is the right page with the cursor that asked for it as the next
// one; a first page keeps its own.
func RepeatedCursor() Response {
	next := regexp.MustCompile(`"after":"[^"]*"`)
	return Response{Rewrite: func(r *http.Request, body []byte) []byte {
		after := r.URL.Query().Get("after")
		if after == "" {
			return body
		}
		same := strconv.AppendQuote([]byte(`"after":`), url.QueryEscape(after))
		return next.ReplaceAllFunc(body, func([]byte) []byte { return bytes.Clone(same) })
	}}
}
