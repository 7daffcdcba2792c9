package telemetry

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// repeatEvery is how often a warning or error that keeps coming is written.
	repeatEvery = 30 * time.Second
	// maxRepeats bounds the memory of what was written; beyond, it starts anew.
	maxRepeats = 4096
)

// NewLogger writes lines at or above a level as "text" or "json". Warnings and
// errors that say the same about the same account, lane, topic and partition are
// written every 30 seconds at most; the next one says how many were suppressed.
func NewLogger(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	var inner slog.Handler = slog.NewTextHandler(w, options)
	if format == "json" {
		inner = slog.NewJSONHandler(w, options)
	}
	return slog.New(&limiter{inner: inner, seen: &repeats{last: map[string]repeat{}}})
}

// limiter is a handler in front of another.
type limiter struct {
	inner slog.Handler
	about string // of the attributes that were attached before
	seen  *repeats
}

// repeats are shared by all loggers that come of one.
type repeats struct {
	mu   sync.Mutex
	last map[string]repeat
}

type repeat struct {
	written    time.Time
	suppressed int
}

// Enabled is part of slog.Handler.
func (l *limiter) Enabled(ctx context.Context, level slog.Level) bool {
	return l.inner.Enabled(ctx, level)
}

// Handle is part of slog.Handler.
func (l *limiter) Handle(ctx context.Context, record slog.Record) error {
	if record.Level < slog.LevelWarn {
		return l.inner.Handle(ctx, record)
	}
	key := record.Message + l.about
	record.Attrs(func(attr slog.Attr) bool {
		key += subject(attr)
		return true
	})
	suppressed, write := l.seen.admit(key, record.Time)
	if !write {
		return nil
	}
	if suppressed > 0 {
		record = record.Clone()
		record.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return l.inner.Handle(ctx, record)
}

// WithAttrs is part of slog.Handler.
func (l *limiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	about := l.about
	for _, attr := range attrs {
		about += subject(attr)
	}
	return &limiter{inner: l.inner.WithAttrs(attrs), about: about, seen: l.seen}
}

// WithGroup is part of slog.Handler.
func (l *limiter) WithGroup(name string) slog.Handler {
	return &limiter{inner: l.inner.WithGroup(name), about: l.about, seen: l.seen}
}

// subject is what a line is about, for the attributes that tell it; the others, an
// error's text first of all, differ from one repetition to the next.
func subject(attr slog.Attr) string {
	switch attr.Key {
	case "account", "lane", "topic", "partition", "chain", "endpoint":
		return "\x00" + attr.Key + "=" + attr.Value.String()
	}
	return ""
}

// admit says whether a line is written now, and how many before it were not. A
// wall clock that was set back writes.
func (r *repeats) admit(key string, now time.Time) (suppressed int, write bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, known := r.last[key]
	if age := now.Sub(before.written); known && age >= 0 && age < repeatEvery {
		before.suppressed++
		r.last[key] = before
		return 0, false
	}
	if len(r.last) >= maxRepeats {
		clear(r.last)
	}
	r.last[key] = repeat{written: now}
	return before.suppressed, true
}
