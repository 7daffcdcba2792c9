package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/threadcast/threadcast/internal/telemetry"
)

func TestRepeatedWarningsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		logger := telemetry.NewLogger(&out, slog.LevelInfo, "text").With("account", "acme")
		for i := range 100 {
			logger.Warn("page could not be read", "lane", "full", "err", fmt.Errorf("attempt %d", i))
			time.Sleep(time.Second)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 4 {
			t.Fatalf("%d lines in 100 s, want 4:\n%s", len(lines), &out)
		}
		if strings.Contains(lines[0], "suppressed") || !strings.Contains(lines[1], "suppressed=29") {
			t.Errorf("suppressed lines are not counted:\n%s", &out)
		}
	})
}

func TestWhatDiffersIsNotLimited(t *testing.T) {
	var out bytes.Buffer
	logger := telemetry.NewLogger(&out, slog.LevelInfo, "text")
	for _, account := range []string{"a", "b"} {
		for _, lane := range []string{"full", "recent"} {
			logger.With("account", account).WithGroup("g").Warn("w", "lane", lane)
			logger.Error("e", "account", account, "lane", lane)
		}
	}
	for range 5 {
		logger.Info("i")
	}
	if got := strings.Count(out.String(), "\n"); got != 4+4+5 {
		t.Errorf("%d lines, want 13:\n%s", got, &out)
	}
}

func TestFormatAndLevel(t *testing.T) {
	var out bytes.Buffer
	logger := telemetry.NewLogger(&out, slog.LevelWarn, "json")
	logger.Info("not shown")
	logger.Warn("shown", "err", errors.New("why"))
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["msg"] != "shown" || line["err"] != "why" {
		t.Errorf("logged %s, %v", &out, err)
	}
}

// Memory stays bounded however many different lines come.
func TestManyDifferentLines(t *testing.T) {
	var out bytes.Buffer
	logger := telemetry.NewLogger(&out, slog.LevelInfo, "text")
	for i := range 10_000 {
		logger.Warn("w", "partition", i)
	}
	if got := strings.Count(out.String(), "\n"); got != 10_000 {
		t.Errorf("%d lines, want 10000", got)
	}
}
