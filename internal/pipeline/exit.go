package pipeline

import (
	"context"
	"errors"

	"github.com/threadcast/threadcast/internal/hubspot"
	"github.com/threadcast/threadcast/internal/store"
)

// Exit codes, as supervisors see them.
const (
	CodeOther       = 1
	CodeUsage       = 2
	CodeUnavailable = 69 // an upstream cannot be reached
	CodeInvariant   = 70 // a promise would be broken
	CodeState       = 74 // corrupt, foreign, lost, or of a newer format
	CodeLocked      = 75 // locked, or fenced by another instance
	CodeAuth        = 77 // token or scope refused
	CodeConfig      = 78 // configuration, topics
)

// Failure is an error with the exit code that belongs to it.
type Failure struct {
	Code int
	Err  error
}

// Error is the whole message.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap gives what is behind it.
func (f *Failure) Unwrap() error { return f.Err }

// ExitCode is the exit code that an error asks for; zero for none.
func ExitCode(err error) int {
	var coded interface{ ExitCode() int }
	var failure *Failure
	var refused *hubspot.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &failure):
		return failure.Code
	case errors.As(err, &coded):
		return coded.ExitCode()
	case errors.Is(err, store.ErrLocked):
		return CodeLocked
	case errors.Is(err, store.ErrPartitions):
		return CodeConfig
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrMissing), errors.Is(err, store.ErrForeign), errors.Is(err, store.ErrNewer), errors.Is(err, store.ErrBroken):
		return CodeState
	case errors.As(err, &refused):
		return hubspotCode(refused.Class)
	}
	return CodeOther
}

func hubspotCode(class hubspot.Class) int {
	switch class {
	case hubspot.ClassAuth, hubspot.ClassScope:
		return CodeAuth
	case hubspot.ClassConfig:
		return CodeConfig
	}
	return CodeUnavailable
}

// ended says whether an error is only the end of the context.
func ended(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Cause(ctx)))
}
