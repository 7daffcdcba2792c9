// Command threadcast publishes what happens to HubSpot conversation threads on
// Kafka, and holds the commands that an operator needs beside it. It owns flags,
// signals, exit codes and the form of what is printed; each command is one call of
// the pipeline or the configuration.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/threadcast/threadcast/internal/pipeline"
)

// version is set by the linker: -X main.version=v1.2.3.
var version string

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// program is one run of the command line.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string // NAME=value, as os.Environ gives it
	file           string   // --config
}

// run carries out a command line and returns the exit code. An error is printed once.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, environ: environ}
	root := p.root()
	if args == nil {
		args = []string{} // cobra takes nil for the arguments of the process
	}
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	code := pipeline.ExitCode(err)
	if text := message(err); text != "" {
		fmt.Fprintf(stderr, "threadcast: %s\n", text)
	}
	return code
}

// message is what is printed about an error; empty where a command has said it all.
func message(err error) string {
	var usage *usageError
	var said *saidError
	switch {
	case err == nil || errors.As(err, &said):
		return ""
	case errors.As(err, &usage):
		return fmt.Sprintf("%v\nSee `%s --help`.", err, usage.command)
	}
	return strings.TrimRight(err.Error(), "\n")
}

// usageError is a command line that cannot be understood.
type usageError struct {
	command string // whose help says how it is done
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

// ExitCode is the exit code of a process that stops for this error.
func (e *usageError) ExitCode() int { return pipeline.CodeUsage }

func usage(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{command: cmd.CommandPath(), err: fmt.Errorf(format, args...)}
}

// saidError is an exit code whose reasons have been printed.
type saidError struct{ code int }

func (e *saidError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// ExitCode is the exit code of a process that stops for this error.
func (e *saidError) ExitCode() int { return e.code }
