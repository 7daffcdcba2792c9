package main

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"nothing to do": nil,
		"both":          {"--serve", "--", "true"},
		"unknown flag":  {"--broker", "--", "true"},
	} {
		var stderr bytes.Buffer
		if code := run(t.Context(), args, &stderr, &stderr); code != exitUsage || stderr.Len() == 0 {
			t.Errorf("%s: got code %d and %q, want %d and the usage", name, code, stderr.String(), exitUsage)
		}
	}
	chosen, err := parse([]string{"--nodes", "3", "--version", "3.9.1", "--", "go", "test", "-v"}, nil)
	if err != nil || chosen.cluster.Nodes != 3 || chosen.cluster.Version != "3.9.1" || !slices.Equal(chosen.command, []string{"go", "test", "-v"}) {
		t.Errorf("got %+v, %v", chosen, err)
	}
}

func TestTheCommandsCodeIsOurs(t *testing.T) {
	var stderr bytes.Buffer
	for code, args := range map[int][]string{
		0:               {"sh", "-c", `test "$THREADCAST_TEST_BROKERS" = b:1 && test "$THREADCAST_KAFKA_LIBS" = libs`},
		7:               {"sh", "-c", "exit 7"},
		exitSignal + 15: {"sh", "-c", "kill -TERM $$"},
		exitFailed:      {"/no/such/command"},
	} {
		if got := execute(t.Context(), args, "b:1", "libs", &stderr); got != code {
			t.Errorf("%v: got %d, want %d", args, got, code)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if got := execute(ctx, []string{"sleep", "60"}, "b:1", "libs", &stderr); got != exitSignal+15 {
		t.Errorf("interrupted: got %d, want %d", got, exitSignal+15)
	}
}
