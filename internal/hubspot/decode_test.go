package hubspot

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/threadcast/threadcast/internal/thread"
)

var at = time.Date(2026, 8, 18, 18, 50, 6, 872_000_000, time.UTC)

// full is a thread of which every field is known.
func full() map[string]any {
	return map[string]any{
		"id": "17", "status": "CLOSED", "createdAt": "2026-08-18T18:50:06.872Z", "closedAt": "2026-08-18T18:50:06.872Z",
		"inboxId": "1", "originalChannelId": "1002", "originalChannelAccountId": "3", "associatedContactId": "4",
		"spam": false, "archived": true, "assignedTo": "A-5", "latestMessageTimestamp": "2026-08-18T18:50:06.872Z",
		"latestMessageReceivedTimestamp": "2026-08-18T18:50:06.872Z", "latestMessageSentTimestamp": "2026-08-18T18:50:06.872Z",
		"threadAssociations": map[string]any{"associatedTicketId": "6"},
	}
}

func fullFacts() thread.Facts {
	return thread.Facts{
		Status: thread.StatusClosed, StatusText: "CLOSED", CreatedAt: at, ClosedAt: at, AssignedTo: "A-5",
		Inbox: "1", Channel: "1002", ChannelAccount: "3", Contact: "4", Ticket: "6", Archived: true,
		Presence: thread.PresenceListed, LatestMessage: at, LatestReceived: at, LatestSent: at,
	}
}

func encode(t *testing.T, fields map[string]any) []byte {
	t.Helper()
	raw, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The order of keys, white space and unknown fields change nothing.
func TestDecodeLaw(t *testing.T) {
	fields, want := full(), fullFacts()
	names := make([]string, 0, len(fields)+1)
	for name := range fields {
		names = append(names, name)
	}
	fields["somethingNew"] = map[string]any{"status": "OPEN", "id": 3}
	names = append(names, "somethingNew")
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		var raw strings.Builder
		raw.WriteString("{")
		for i, name := range names {
			if i > 0 {
				raw.WriteString(",\n ")
			}
			value, _ := json.Marshal(fields[name])
			raw.WriteString(`"` + name + `" : ` + string(value))
		}
		raw.WriteString("}")
		if got, err := Decode([]byte(raw.String())); err != nil || got != want {
			t.Fatalf("Decode(%s):\n got %+v, %v\nwant %+v", raw.String(), got, err, want)
		}
	}
}

func TestDecodeSituations(t *testing.T) {
	tests := map[string]struct {
		change func(map[string]any)
		want   func(*thread.Facts)
	}{
		"as it is":            {func(map[string]any) {}, func(*thread.Facts) {}},
		"nobody assigned":     {func(m map[string]any) { delete(m, "assignedTo") }, func(f *thread.Facts) { f.AssignedTo = "" }},
		"assigned to null":    {func(m map[string]any) { m["assignedTo"] = nil }, func(f *thread.Facts) { f.AssignedTo = "" }},
		"ids as numbers":      {func(m map[string]any) { m["associatedContactId"] = json.Number("9007199254740993") }, func(f *thread.Facts) { f.Contact = "9007199254740993" }},
		"no ticket":           {func(m map[string]any) { delete(m, "threadAssociations") }, func(f *thread.Facts) { f.Ticket = "" }},
		"associations null":   {func(m map[string]any) { m["threadAssociations"] = nil }, func(f *thread.Facts) { f.Ticket = "" }},
		"associations empty":  {func(m map[string]any) { m["threadAssociations"] = map[string]any{} }, func(f *thread.Facts) { f.Ticket = "" }},
		"ticket as number":    {func(m map[string]any) { m["threadAssociations"] = map[string]any{"associatedTicketId": 66} }, func(f *thread.Facts) { f.Ticket = "66" }},
		"unknown status":      {func(m map[string]any) { m["status"] = "ARCHIVED" }, func(f *thread.Facts) { f.Status, f.StatusText = thread.StatusUnknown, "ARCHIVED" }},
		"closedAt while open": {func(m map[string]any) { m["status"] = "OPEN" }, func(f *thread.Facts) { f.Status, f.StatusText, f.ClosedAt = thread.StatusOpen, "OPEN", time.Time{} }},
		"no archived":         {func(m map[string]any) { delete(m, "archived") }, func(f *thread.Facts) { f.Archived = false }},
		"no spam":             {func(m map[string]any) { delete(m, "spam") }, missing(thread.FieldSpam)},
		"inbox null": {func(m map[string]any) { m["inboxId"] = nil }, func(f *thread.Facts) {
			f.Inbox = ""
			missing(thread.FieldInbox)(f)
		}},
		"no createdAt": {func(m map[string]any) { delete(m, "createdAt") }, func(f *thread.Facts) {
			f.CreatedAt = time.Time{}
			missing(thread.FieldCreatedAt)(f)
		}},
		"time in milliseconds": {func(m map[string]any) { m["latestMessageTimestamp"] = at.UnixMilli() }, func(*thread.Facts) {}},
		"time with an offset":  {func(m map[string]any) { m["closedAt"] = "2026-08-18T20:50:06.872+02:00" }, func(*thread.Facts) {}},
		"NUL in an actor":      {func(m map[string]any) { m["assignedTo"] = "A-\x00" }, func(f *thread.Facts) { f.AssignedTo = "A-\uFFFD" }},
		"endless text":         {func(m map[string]any) { m["inboxId"] = strings.Repeat("é", 500) }, func(f *thread.Facts) { f.Inbox = strings.Repeat("é", 160) }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fields, want := full(), fullFacts()
			test.change(fields)
			test.want(&want)
			if got, err := Decode(encode(t, fields)); err != nil || got != want {
				t.Errorf("\n got %+v, %v\nwant %+v", got, err, want)
			}
		})
	}
}

func missing(field thread.Field) func(*thread.Facts) {
	return func(f *thread.Facts) { f.Missing = f.Missing.With(field) }
}

func TestDecodeDoesNotUnderstand(t *testing.T) {
	tests := map[string]func(map[string]any){
		"no status":          func(m map[string]any) { delete(m, "status") },
		"status null":        func(m map[string]any) { m["status"] = nil },
		"status empty":       func(m map[string]any) { m["status"] = "" },
		"status a number":    func(m map[string]any) { m["status"] = 1 },
		"spam a text":        func(m map[string]any) { m["spam"] = "no" },
		"archived a number":  func(m map[string]any) { m["archived"] = 1 },
		"inbox an object":    func(m map[string]any) { m["inboxId"] = map[string]any{} },
		"inbox a fraction":   func(m map[string]any) { m["inboxId"] = 1.5 },
		"inbox true":         func(m map[string]any) { m["inboxId"] = true },
		"no time":            func(m map[string]any) { m["closedAt"] = "yesterday" },
		"time a bool":        func(m map[string]any) { m["createdAt"] = true },
		"time a fraction":    func(m map[string]any) { m["createdAt"] = json.Number("1e12") },
		"time in year 30000": func(m map[string]any) { m["createdAt"] = int64(900_000_000_000_000) },
		"associations list":  func(m map[string]any) { m["threadAssociations"] = []int{1} },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			fields := full()
			change(fields)
			if facts, err := Decode(encode(t, fields)); err == nil || facts != (thread.Facts{}) {
				t.Errorf("decoded as %+v, %v; want an error", facts, err)
			}
		})
	}
	for _, raw := range []string{"", "null", "[]", `{"status":"OPEN"`, `{"status":"OPEN"} {}`, `{"status":"OPEN",}`} {
		if _, err := Decode([]byte(raw)); err == nil {
			t.Errorf("%q was decoded", raw)
		}
	}
}

func TestDecodeLastOfTwoKeysCounts(t *testing.T) {
	facts, err := Decode([]byte(`{"status":"OPEN","assignedTo":"A-1","status":"CLOSED","assignedTo":null,"inboxId":"1","inboxId":null,` +
		`"threadAssociations":{"associatedTicketId":"1","associatedTicketId":"2"},"closedAt":"2026-08-18T18:50:06.872Z"}`))
	if err != nil || facts.Status != thread.StatusClosed || facts.AssignedTo != "" || facts.Ticket != "2" ||
		!facts.Missing.Has(thread.FieldInbox) || facts.Inbox != "" || facts.ClosedAt != at {
		t.Errorf("decoded as %+v, %v", facts, err)
	}
}

func TestDecodeInvalidUTF8(t *testing.T) {
	facts, err := Decode([]byte("{\"status\":\"OPEN\",\"assignedTo\":\"A-\xff\\ud800\"}"))
	if err != nil || !utf8.ValidString(string(facts.AssignedTo)) {
		t.Errorf("decoded as %q, %v", facts.AssignedTo, err)
	}
}

func TestDriftIsCountedAndBounded(t *testing.T) {
	var drift Drift
	for i := range 200 {
		raw := `{"status":"PENDING","new` + strings.Repeat("x", i) + `":1}`
		if _, err := drift.Decode([]byte(raw)); err != nil {
			t.Fatal(err)
		}
	}
	counts := drift.Counts()
	if len(counts) > maxDriftNames+2 {
		t.Errorf("%d names, want at most %d", len(counts), maxDriftNames+2)
	}
	total := uint64(0)
	for _, count := range counts {
		total += count.Count
		if len(count.Name) > maxWord {
			t.Errorf("name of %d bytes", len(count.Name))
		}
	}
	if total != 400 {
		t.Errorf("%d counted, want 400", total)
	}
}

// Whatever the bytes: no panic, and what is understood is safe to publish.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(realThread(1)))
	f.Add([]byte(`{"status":"OPEN","createdAt":1,"spam":true,"threadAssociations":{"associatedTicketId":null}}`))
	f.Add([]byte(`{"status":"\ud800\u0000","closedAt":"0000-01-01T00:00:00Z","inboxId":12345678901234567890123}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		facts, err := Decode(raw)
		if err != nil {
			return
		}
		if !json.Valid(raw) {
			t.Fatalf("%q is no JSON and was decoded", raw)
		}
		for _, text := range []string{facts.StatusText, string(facts.AssignedTo), facts.Inbox, facts.Channel, facts.ChannelAccount, facts.Contact, facts.Ticket} {
			if len(text) > thread.MaxText || !utf8.ValidString(text) || strings.Contains(text, "\x00") {
				t.Errorf("%q in the facts of %q", text, raw)
			}
		}
		for _, at := range []time.Time{facts.CreatedAt, facts.ClosedAt, facts.LatestMessage, facts.LatestReceived, facts.LatestSent} {
			if at.Location() != time.UTC || at.Year() < 1 || at.Year() > 9999 {
				t.Errorf("time %v in the facts of %q", at, raw)
			}
		}
		if facts.Status == 0 || facts.StatusText == "" || facts.Status == thread.StatusOpen && !facts.ClosedAt.IsZero() {
			t.Errorf("%+v from %q", facts, raw)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	raw := []byte(realThread(30_000_000_001))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}
