package hubspot_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/threadcast/threadcast/internal/hubspot"
	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/quota"
	"github.com/threadcast/threadcast/internal/thread"
)

func connect(t *testing.T, server *hubspottest.Server, options quota.Options) *hubspot.Client {
	t.Helper()
	governor, err := quota.New(options)
	if err != nil {
		t.Fatal(err)
	}
	client, err := hubspot.New(hubspot.Config{
		Version: hubspot.VersionAuto, HTTP: server.Transport(), Clock: thread.NewClock(), Governor: governor,
		Token: hubspot.EnvToken("T", func(string) (string, bool) { return hubspottest.DefaultToken, true }),
		Kinds: thread.DefaultKinds, Jitter: func() float64 { return 0.5 },
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// walk reads a list to its end and gives the facts by id.
func walk(ctx context.Context, client *hubspot.Client, query thread.Query, found map[thread.ID]thread.Facts) error {
	for {
		page, err := client.List(ctx, query)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			facts, err := hubspot.Decode(item.Raw)
			if err != nil {
				return fmt.Errorf("thread %s: %w", item.ID, err)
			}
			found[item.ID] = facts
			query.After = item.ID
		}
		if query.Since.IsZero() && !page.Ascending {
			return fmt.Errorf("the page after %q does not ascend", page.Cursor)
		}
		if !page.More {
			return nil
		}
		query.Cursor = page.Next
	}
}

// Every thread of the account is read, exactly as it is, at full pace without a
// refusal, whatever the API version, through empty pages and passing faults.
func TestEveryThreadIsReadAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := hubspottest.New(hubspottest.Config{Behaviour: hubspottest.Behaviour{
			Versions: []string{hubspottest.VersionV3}, Limits: hubspottest.ProfessionalLimits(), EmptyEvery: 7, EmptyTail: true,
			Extra: `,"newField":{"id":"x","status":"}"}`,
		}})
		server.Populate(hubspottest.Population{Threads: 9_000, Seed: 4})
		client := connect(t, server, quota.Options{DailyShare: 1, BurstShare: 1, MaxCallsPerSecond: 100})
		server.Set(func(b *hubspottest.Behaviour) {
			b.Fault = hubspottest.On(hubspottest.EndpointThreads, hubspottest.Nth(9, hubspottest.Truncated()))
		})
		found := map[thread.ID]thread.Facts{}
		for _, archived := range []bool{false, true} {
			if err := walk(t.Context(), client, thread.Query{Lane: thread.LaneFull, Archived: archived}, found); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range server.Threads() {
			if got := found[want.ID]; got != want.Facts() {
				t.Fatalf("thread %s read as\n%+v, want\n%+v", want.ID, got, want.Facts())
			}
		}
		if refused := server.Stats().Statuses[429]; refused != 0 {
			t.Errorf("%d calls refused", refused)
		}
	})
}

func TestTheOtherQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := hubspottest.New(hubspottest.Config{})
		server.Populate(hubspottest.Population{Threads: 300, Seed: 1})
		client := connect(t, server, quota.Options{DailyShare: 1, BurstShare: 1, MaxCallsPerSecond: 100})
		account, err := client.Account(t.Context())
		if err != nil || account.ID != server.Account() {
			t.Errorf("account %+v, %v", account, err)
		}
		inboxes, err := client.Inboxes(t.Context())
		if err != nil || len(inboxes) != len(server.Inboxes()) {
			t.Errorf("inboxes %+v, %v", inboxes, err)
		}
		var newest thread.ID
		for _, one := range server.Threads() {
			if !one.Archived {
				newest = one.ID
			}
		}
		page, err := client.Get(t.Context(), newest, false, nil)
		if err != nil || page.Items[0].ID != newest {
			t.Errorf("get: %v", err)
		}
		for _, archived := range []bool{false, true} {
			if _, err := client.Get(t.Context(), newest+1, archived, nil); !errors.Is(err, thread.ErrNotFound) {
				t.Errorf("get of what is not there: %v", err)
			}
		}
		since := time.Now().Add(-30 * 24 * time.Hour)
		recent := map[thread.ID]thread.Facts{}
		if err := walk(t.Context(), client, thread.Query{Lane: thread.LaneRecent, Since: since}, recent); err != nil {
			t.Fatal(err)
		}
		for _, one := range server.Threads() {
			if _, got := recent[one.ID]; got != (!one.Archived && !one.LatestMessage.Before(since)) {
				t.Errorf("thread %s with its newest message at %v: listed %v", one.ID, one.LatestMessage, got)
			}
		}
	})
}

// The share of the day is never overrun, and reading goes on at midnight.
func TestDailyShareAgainstTheFake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := hubspottest.New(hubspottest.Config{Behaviour: hubspottest.Behaviour{Limits: hubspottest.Limits{Burst: 100, Daily: 200}}})
		client := connect(t, server, quota.Options{DailyShare: 0.25, BurstShare: 1, MaxCallsPerSecond: 10, DailyLimit: 200})
		start := time.Now()
		for range 120 {
			if _, err := client.List(t.Context(), thread.Query{}); err != nil {
				t.Fatal(err)
			}
		}
		if days := time.Since(start).Hours() / 24; days < 2 || days > 2.1 {
			t.Errorf("120 calls at 50 a day took %.2f days, want a little over 2", days)
		}
	})
}
