package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command and every flag stands in the documentation.
func TestDocumentationIsComplete(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := func(what string) {
		t.Helper()
		if !strings.Contains(string(text), what) {
			t.Errorf("docs/cli.md does not speak of %q", what)
		}
	}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Name() == "help" || cmd.Name() == "completion" || cmd.Hidden {
			return
		}
		if !cmd.HasSubCommands() {
			documented(cmd.CommandPath())
		}
		for _, flag := range regexp.MustCompile(`--[a-z-]+ `).FindAllString(cmd.LocalFlags().FlagUsages(), -1) {
			documented(strings.TrimSpace(flag))
		}
		for _, child := range cmd.Commands() {
			visit(child)
		}
	}
	visit((&program{}).root())
}
