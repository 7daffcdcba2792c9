// Command real runs a command with a real Apache Kafka beside it:
//
//	go run ./internal/kafkatest/real -- go test ./...
//
// The command finds the brokers in THREADCAST_TEST_BROKERS and Kafka's jars in
// THREADCAST_KAFKA_LIBS; its exit code is this command's. With --serve the broker
// runs until it is interrupted. It needs Java 17 or newer and, the first time,
// Maven.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/threadcast/threadcast/internal/kafkatest"
	"github.com/threadcast/threadcast/internal/kafkatest/cluster"
)

const (
	exitFailed = 1
	exitUsage  = 2
	// exitSignal is added to a signal's number, as shells do.
	exitSignal = 128

	// patience is how long a command may take to end once it is asked to.
	patience = 10 * time.Second
	// parentPoll: `go run` does not pass signals on, so that its end is noticed by
	// a change of parent.
	parentPoll = time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	go watchParent(ctx, cancel)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	stop()
	os.Exit(code)
}

func watchParent(ctx context.Context, cancel context.CancelFunc) {
	ticker := time.NewTicker(parentPoll)
	defer ticker.Stop()
	for parent := os.Getppid(); os.Getppid() == parent; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
	cancel()
}

type choices struct {
	cluster cluster.Config
	serve   bool
	command []string
}

func parse(args []string, stderr io.Writer) (choices, error) {
	var c choices
	flags := flag.NewFlagSet("real", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&c.cluster.Version, "version", cluster.DefaultVersion, "version of Apache Kafka")
	flags.IntVar(&c.cluster.Nodes, "nodes", 1, "number of nodes")
	flags.StringVar(&c.cluster.Listen, "listen", "", "host:port of the first node (default a free port of 127.0.0.1)")
	flags.BoolVar(&c.serve, "serve", false, "print the address and run until interrupted")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: real [flags] -- command [arguments]\n       real [flags] --serve")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	c.command = flags.Args()
	if c.serve == (len(c.command) > 0) {
		flags.Usage()
		return c, errors.New("either a command or --serve")
	}
	return c, nil
}

// run starts the cluster, does what was asked and stops it, whatever happens.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	chosen, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitUsage
	}
	began := time.Now()
	kafka, err := cluster.Start(ctx, chosen.cluster)
	if err != nil {
		fmt.Fprintln(stderr, "real:", err)
		return exitFailed
	}
	brokers := strings.Join(kafka.Brokers(), ",")
	fmt.Fprintf(stderr, "real: Apache Kafka %s answers at %s after %v\n", chosen.cluster.Version, brokers, time.Since(began).Round(time.Millisecond))
	code := 0
	if chosen.serve {
		fmt.Fprintln(stdout, brokers)
		<-ctx.Done()
	} else {
		code = execute(ctx, chosen.command, brokers, kafka.Libs(), stderr)
	}
	if err := kafka.Stop(); err != nil {
		fmt.Fprintln(stderr, "real: stop Kafka:", err)
		code = max(code, exitFailed)
	}
	return code
}

func execute(ctx context.Context, args []string, brokers, libs string, stderr io.Writer) int {
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Env = append(os.Environ(), kafkatest.BrokersVariable+"="+brokers, kafkatest.LibsVariable+"="+libs)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = patience
	err := command.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return exitSignal + int(status.Signal())
		}
	}
	fmt.Fprintf(stderr, "real: run %s: %v\n", args[0], err)
	return exitFailed
}
