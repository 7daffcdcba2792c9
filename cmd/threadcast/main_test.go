package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary play the program when it is called threadcast, so
// that scripts and tests run it as a process that can be killed.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"threadcast": main})
}
