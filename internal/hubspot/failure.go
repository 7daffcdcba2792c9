package hubspot

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/threadcast/threadcast/internal/thread"
)

// Class says what to do about an Error.
type Class uint8

// The classes. Retry, Wait and Pause are dealt with inside and returned only by a
// client with a limit of attempts.
const (
	ClassRetry    Class = iota + 1 // 5xx or no answer: passes
	ClassWait                      // 423, 429: the governor waits
	ClassPause                     // 477, or an edge block: the governor parks the account
	ClassAuth                      // 401, or no usable token: park until the token changes
	ClassScope                     // 403: the token may not read this
	ClassConfig                    // this request will never be answered; see the message
	ClassNotFound                  // a 404 with the category OBJECT_NOT_FOUND, on one object
	ClassCursor                    // the cursor is refused: begin the cycle anew
	ClassAnswer                    // answered with something that is not the answer
)

var classNames = [...]string{
	"none", "retry", "wait", "pause", "auth", "scope", "config", "not_found", "cursor", "answer",
}

// String is the class's name in logs and metrics.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

// Error is why a call was not answered. Its text says what to do where a person
// has to; it holds neither token nor addresses.
type Error struct {
	Class         Class
	Status        int    // 0: no answer
	Category      string // HubSpot's category or errorType
	Message       string // HubSpot's, made safe and short
	CorrelationID string // for HubSpot's support
	Policy        string // of a 429: DAILY, TEN_SECONDLY_ROLLING, SECONDLY
	Scopes        []string
	RetryAfter    time.Duration // zero: not said
	Token         Secret        // that was refused; for TokenSource.WaitChange
	Remedy        string        // what a person should do
	Err           error         // what is behind it, if anything

	limit bool // a 400 that speaks of the page size
}

func (e *Error) Error() string {
	var text strings.Builder
	switch {
	case e.Status != 0:
		fmt.Fprintf(&text, "HubSpot answered %d", e.Status)
		if e.Category != "" {
			text.WriteString(" " + e.Category)
		}
	case e.Class == ClassAuth:
		text.WriteString("no usable token")
	default:
		text.WriteString("no answer from HubSpot")
	}
	if e.Message != "" {
		fmt.Fprintf(&text, " (%s)", e.Message)
	}
	if e.Err != nil {
		text.WriteString(": " + e.Err.Error())
	}
	if e.Remedy != "" {
		text.WriteString(": " + e.Remedy)
	}
	if e.CorrelationID != "" {
		text.WriteString(" [correlation " + e.CorrelationID + "]")
	}
	return text.String()
}

// Unwrap gives what is behind the error: thread.ErrNotFound where HubSpot says in
// its own words that there is no such object, thread.ErrCursor where it refuses a
// cursor.
func (e *Error) Unwrap() error {
	switch e.Class {
	case ClassNotFound:
		return thread.ErrNotFound
	case ClassCursor:
		return thread.ErrCursor
	}
	return e.Err
}

// Is says that an error which only a person can end is thread.ErrRefused.
func (e *Error) Is(target error) bool {
	return target == thread.ErrRefused && (e.Class == ClassAuth || e.Class == ClassScope || e.Class == ClassConfig)
}

// envelope is HubSpot's error body; every field of it is optional in practice.
type envelope struct {
	category, message, correlation, policy string
	scopes                                 []string
	mentions                               string // all texts, lower case, to look for words in
	html                                   bool
	json                                   bool
}

// readEnvelope reads an error body leniently: what has another shape counts as
// not said.
func readEnvelope(body []byte) envelope {
	text := strings.TrimSpace(string(body))
	e := envelope{html: strings.HasPrefix(text, "<")}
	var object map[string]any
	if json.Unmarshal(body, &object) != nil {
		return e
	}
	e.json = true
	e.category = first(object, "category", "errorType")
	e.message = safe(first(object, "message"), maxMessage)
	e.correlation = first(object, "correlationId", "requestId")
	e.policy = policyOf(object)
	words := []string{first(object, "message"), first(object, "subCategory")}
	list, _ := object["errors"].([]any)
	for _, entry := range list[:min(len(list), maxErrors)] {
		detail, _ := entry.(map[string]any)
		words = append(words, first(detail, "message"), first(detail, "in"), first(detail, "code"))
		context, _ := detail["context"].(map[string]any)
		for key := range context {
			words = append(words, key)
		}
		scopes, _ := context["requiredGranularScopes"].([]any)
		for _, scope := range scopes[:min(len(scopes), maxErrors)] {
			if name, ok := scope.(string); ok {
				e.scopes = append(e.scopes, safe(name, maxWord))
			}
		}
	}
	e.mentions = strings.ToLower(strings.Join(words, " "))
	return e
}

// Limits on what is taken from an error body.
const (
	maxMessage   = 300
	maxWord      = 80
	maxErrors    = 20
	maxErrorBody = 64 << 10
)

// first is the first of the names that holds a text, short and safe unless it is
// the message, which its caller makes safe.
func first(object map[string]any, names ...string) string {
	for _, name := range names {
		text, ok := object[name].(string)
		if !ok || text == "" {
			continue
		}
		if name == "message" {
			return text
		}
		return safe(text, maxWord)
	}
	return ""
}

// policyOf is the policy of a 429: older bodies have only a message.
func policyOf(object map[string]any) string {
	if policy := first(object, "policyName"); policy != "" {
		return strings.ToUpper(policy)
	}
	message := strings.ToLower(first(object, "message"))
	switch {
	case strings.Contains(message, "daily"):
		return policyDaily
	case strings.Contains(message, "ten_secondly"), strings.Contains(message, "ten secondly"):
		return policyTenSecondly
	case strings.Contains(message, "secondly"):
		return policySecondly
	}
	return ""
}

// The policies that HubSpot names in a 429.
const (
	policyDaily       = "DAILY"
	policySecondly    = "SECONDLY"
	policyTenSecondly = "TEN_SECONDLY_ROLLING"
)

// safe makes a foreign text fit for logs: one line, short, without addresses.
func safe(text string, limit int) string {
	if len(text) > 8*limit {
		text = text[:8*limit]
	}
	words := strings.FieldsFunc(strings.ToValidUTF8(text, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	})
	for i, word := range words {
		if strings.Contains(word, "@") {
			words[i] = "[address]"
		}
	}
	text = strings.Join(words, " ")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "")
	}
	return text
}
