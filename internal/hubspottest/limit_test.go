package hubspottest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// hand is a clock that is moved by hand.
type hand struct{ now time.Time }

func (h *hand) clock() time.Time     { return h.now }
func (h *hand) pass(d time.Duration) { h.now = h.now.Add(d) }

func TestBurstLimitRolls(t *testing.T) {
	clock := &hand{epoch}
	s := five(t, Config{Clock: clock.clock, Behaviour: Behaviour{Limits: Limits{Burst: 4}, RetryAfter: true}})
	statuses := func(n int) string {
		var all []string
		for range n {
			all = append(all, fmt.Sprint(get(t, s, threadsPath, "").status))
			clock.pass(time.Second)
		}
		return strings.Join(all, " ")
	}
	// Calls at 0, 1, 2, 3 fill the window; that of 0 leaves it at 10.
	if got, want := statuses(12), "200 200 200 200 429 429 429 429 429 429 200 200"; got != want {
		t.Errorf("statuses: got %s, want %s", got, want)
	}
	if got := s.Stats().Peak; got != 10 {
		t.Errorf("peak: got %d, want 10 calls in 10 s", got)
	}
	get(t, s, threadsPath, "")
	refused := get(t, s, threadsPath, "")
	if refused.status != 429 || refused.header.Get("Retry-After") != "1" ||
		!strings.Contains(refused.body, `"message":"You have reached your ten_secondly_rolling limit."`) ||
		!strings.Contains(refused.body, `"policyName":"TEN_SECONDLY_ROLLING"`) {
		t.Errorf("refusal: got %d, Retry-After %q, %s", refused.status, refused.header.Get("Retry-After"), refused.body)
	}
}

func TestSecondlyLimit(t *testing.T) {
	clock := &hand{epoch}
	s := five(t, Config{Clock: clock.clock, Behaviour: Behaviour{Limits: Limits{Secondly: 2}}})
	var got []string
	for range 4 {
		reply := get(t, s, threadsPath, "")
		got = append(got, fmt.Sprint(reply.status, " ", reply.header.Get("X-HubSpot-RateLimit-Secondly-Remaining"), reply.header.Get("Retry-After")))
	}
	clock.pass(time.Second)
	got = append(got, fmt.Sprint(get(t, s, threadsPath, "").status))
	if want := "[200 1 200 0 429 0 429 0 200]"; fmt.Sprint(got) != want {
		t.Errorf("answers: got %v, want %s", got, want)
	}
}

func TestDailyLimitEndsAtTheAccountsMidnight(t *testing.T) {
	clock := &hand{epoch} // noon UTC is 14:00 in the account
	s := five(t, Config{
		Clock: clock.clock, Location: time.FixedZone("Europe/Berlin", 2*3600),
		Behaviour: Behaviour{Limits: Limits{Daily: 5}, RetryAfter: true},
	})
	s.SpendDaily(3)
	var got []string
	for range 3 {
		reply := get(t, s, threadsPath, "")
		got = append(got, fmt.Sprint(reply.status, "/", reply.header.Get("X-HubSpot-RateLimit-Daily-Remaining"), "/", reply.header.Get("Retry-After")))
	}
	if want := "[200/1/ 200/0/ 429/0/36000]"; fmt.Sprint(got) != want {
		t.Errorf("answers: got %v, want %s", got, want)
	}
	clock.pass(10*time.Hour - time.Second)
	if got := get(t, s, threadsPath, ""); got.status != 429 || !strings.Contains(got.body, `"policyName":"DAILY"`) ||
		!strings.Contains(got.body, "You have reached your daily limit.") {
		t.Errorf("a second before midnight: got %d %s", got.status, got.body)
	}
	clock.pass(time.Second)
	if got := get(t, s, threadsPath, ""); got.status != 200 || got.header.Get("X-HubSpot-RateLimit-Daily-Remaining") != "4" {
		t.Errorf("at midnight: got %d, remaining %q", got.status, got.header.Get("X-HubSpot-RateLimit-Daily-Remaining"))
	}
}

func TestRateHeaders(t *testing.T) {
	for _, test := range []struct {
		name, query string
		limits      Limits
		want        string
	}{
		{"professional", "", ProfessionalLimits(), "Max=190 Remaining=189 Interval-Milliseconds=10000 Daily=625000 Daily-Remaining=624999 Secondly=19 Secondly-Remaining=18"},
		{"on errors too", "limit=0", FreeLimits(), "Max=100 Remaining=99 Interval-Milliseconds=10000 Daily=250000 Daily-Remaining=249999 Secondly=10 Secondly-Remaining=9"},
		{"without a daily limit", "", Limits{Burst: 110}, "Max=110 Remaining=109 Interval-Milliseconds=10000"},
		{"none", "", Limits{}, ""},
	} {
		s := five(t, Config{Behaviour: Behaviour{Limits: test.limits}})
		reply := get(t, s, threadsPath, test.query)
		var got []string
		for _, name := range []string{"Max", "Remaining", "Interval-Milliseconds", "Daily", "Daily-Remaining", "Secondly", "Secondly-Remaining"} {
			if value := reply.header.Get("X-HubSpot-RateLimit-" + name); value != "" {
				got = append(got, name+"="+value)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: got %s, want %s", test.name, strings.Join(got, " "), test.want)
		}
	}
	if got := EnterpriseLimits().Daily; got != 1_000_000 {
		t.Errorf("enterprise: got %d a day, want 1,000,000", got)
	}
}

func TestUnlimitedCallsAreForgotten(t *testing.T) {
	clock := &hand{epoch}
	s := five(t, Config{Clock: clock.clock})
	for range 3000 {
		get(t, s, threadsPath, "limit=1")
		clock.pass(100 * time.Millisecond)
	}
	if got := len(s.meter.accepted.moments); got > 400 {
		t.Errorf("calls remembered: got %d, want those of about 10 s", got)
	}
}
