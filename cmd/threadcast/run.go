package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/threadcast/threadcast/internal/pipeline"
	"github.com/threadcast/threadcast/internal/telemetry"
)

func (p *program) runCommand() *cobra.Command {
	var labels []string
	var failFast bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Publish the changes of all accounts until it is told to stop",
		Long: "run reads all accounts of the configuration and publishes their changes.\n\n" +
			"The first SIGINT or SIGTERM ends reading and publishes what is in the outbox, for five seconds at most; a\n" +
			"second one stops at once. What is left is published by the next start, so nothing is lost either way.\n\n" +
			"An account that needs a person stops, the others run on; the process ends when none is left, with the code\n" +
			"of the one that stopped first.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.serve(cmd.Context(), labels, failFast) },
	}
	cmd.Flags().StringArrayVar(&labels, "new", nil,
		"discard the state of this account on purpose and begin a new generation; the old file is set aside (repeatable)")
	cmd.Flags().BoolVar(&failFast, "fail-fast", false, "end the process as soon as one account stops")
	return cmd
}

// stopTime is how long closing may take after a second signal.
const stopTime = time.Second

var (
	errStopped = errors.New("stopped by a second signal: what the outbox holds is published by the next start")
	errDone    = errors.New("done")
)

// serve runs the service under the control of signals.
func (p *program) serve(ctx context.Context, labels []string, failFast bool) error {
	cfg, warnings, err := p.load()
	if err != nil {
		return err
	}
	logger := telemetry.NewLogger(p.stderr, cfg.Log.Level, cfg.Log.Format)
	for _, warning := range warnings {
		logger.Warn("configuration: " + warning.String())
	}
	service, err := pipeline.New(cfg, pipeline.Options{Version: p.version().Version, New: labels, FailFast: failFast, Logger: logger})
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)

	logger.Info("threadcast starts", "version", p.version().Version, "config", cfg.File, "accounts", len(cfg.Accounts), "state", cfg.State.Dir)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errDone)
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	if err = attend(signals, ended, service.Drain, func() { cancel(errStopped) }, logger); err == nil {
		logger.Info("threadcast stopped")
	}
	return err
}

// attend waits for the end of the service: the first signal drains it, the second
// stops it.
func attend(signals <-chan os.Signal, ended <-chan error, drain, stop func(), logger *slog.Logger) error {
	select {
	case err := <-ended:
		return err
	case got := <-signals:
		logger.Info("draining: nothing is read any more, what is in the outbox is published; a second signal stops at once", "signal", got.String())
		drain()
	}
	select {
	case err := <-ended:
		return err
	case got := <-signals:
		logger.Warn("stopping at once", "signal", got.String())
		stop()
	}
	select {
	case <-ended:
	case <-time.After(stopTime):
	}
	return errStopped
}
