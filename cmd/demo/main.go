// Command demo shows all of threadcast with nothing outside the process: a fake
// HubSpot, a Kafka broker, the service, and a consumer that prints what reaches it
// and checks it against what was done. `demo hubspot` is the fake alone.
//
// The service runs from a configuration file like any other, over HTTP and Kafka's
// protocol; the demo must not reach into it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/threadcast/threadcast/internal/pipeline"
)

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	os.Exit(run(context.Background(), signals, os.Args[1:], os.Stdout, os.Stderr, rigging{patience: 15 * time.Second}))
}

// run is the process without its surroundings; it returns the exit code.
func run(ctx context.Context, signals <-chan os.Signal, args []string, stdout, stderr io.Writer, rig rigging) int {
	command := newCommand(surroundings{signals: signals, stdout: stdout, stderr: stderr, rig: rig})
	command.SetArgs(args)
	command.SetOut(stdout)
	command.SetErr(stderr)
	err := command.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "demo: %v\n", err)
	var failure *pipeline.Failure
	if !errors.As(err, &failure) { // everything else comes from cobra
		return pipeline.CodeUsage
	}
	return failure.Code
}

// surroundings are what a command gets from outside.
type surroundings struct {
	signals        <-chan os.Signal
	stdout, stderr io.Writer
	rig            rigging
}

// rigging is what a test may change about the demo.
type rigging struct {
	patience time.Duration                 // how long what has not arrived at the end is waited for
	steal    func(record *kgo.Record) bool // takes a record from the consumer; nil: nothing is stolen
}

// failed gives an error its exit code. An error that has none of its own is not one
// of usage.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return &pipeline.Failure{Code: pipeline.ExitCode(err), Err: err}
}

// errInterrupted is why a context ended that a person ended.
var errInterrupted = errors.New("interrupted")

// sameSignal is how soon after a signal another one is the same: timeout(1) sends one
// to the process and one to its group.
const sameSignal = 250 * time.Millisecond

// heed returns two contexts: the first ends with the second signal, the other one
// with the first. release ends both.
func heed(parent context.Context, signals <-chan os.Signal) (ctx, playing context.Context, release func()) {
	ctx, abort := context.WithCancelCause(parent)
	playing, stop := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var first time.Time
		for ctx.Err() == nil {
			select {
			case <-signals:
			case <-ctx.Done():
				return
			}
			switch {
			case first.IsZero():
				first = time.Now()
				stop(errInterrupted)
			case time.Since(first) > sameSignal:
				abort(errInterrupted)
			}
		}
	}()
	return ctx, playing, func() {
		abort(nil)
		<-done
	}
}
