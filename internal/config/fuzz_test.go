package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Whatever a file and the environment hold, loading ends with a configuration
// that prints to the same, or with problems; never with both, never with neither.
func FuzzLoad(f *testing.F) {
	for _, text := range []string{Example, Starter, "", "accounts: {a: {}}", "a: &a [*a]", "accounts: &a {b: *a}", "- 1\n---\n- 2", "log: {level: [1]}"} {
		f.Add([]byte(text), "")
		f.Add([]byte(text), "KAFKA__BROKERS=a:1,b:2")
		f.Add([]byte(text), "ACCOUNTS__X__HUBSPOT__AUTH__TOKEN_FILE=\x00")
		f.Add([]byte(text), "KAFKA__KINDS=,")
	}
	f.Fuzz(func(t *testing.T, data []byte, variable string) {
		environ := []string{envPrefix + variable}
		loaded, _, err := load(data, "fuzz.yaml", "/dir", environ)
		var wrong *Error
		switch {
		case err != nil && (loaded != nil || !errors.As(err, &wrong) || len(wrong.Problems) == 0 || len(wrong.Problems) > maxProblems+1):
			t.Fatalf("load gives %v and %v", loaded, err)
		case err != nil:
			return
		}
		var printed bytes.Buffer
		if err := loaded.Print(&printed); err != nil {
			t.Fatal(err)
		}
		again, _, err := load(printed.Bytes(), "printed.yaml", "/dir", nil)
		if err != nil || !reflect.DeepEqual(again, loaded) {
			t.Fatalf("printed\n%s\nloads to\n %+v, %v\nwant\n %+v", &printed, again, err, loaded)
		}
	})
}

func TestEveryDefaultIsValid(t *testing.T) {
	defaults := func(set func() error, path string) {
		if err := set(); err != nil {
			t.Errorf("the default of %s: %v", path, err)
		}
	}
	for _, key := range accountKeys() {
		if key.standard != "" {
			defaults(func() error { return key.set(&Account{}, value{text: key.standard}) }, key.path)
		}
	}
	for _, key := range serviceKeys() {
		if key.standard != "" {
			defaults(func() error { return key.set(&Config{}, value{text: key.standard}) }, key.path)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"recent", "reecnt", 2}, {"x", "x", 0}, {"ä", "a", 1}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.b, c.a, got, c.want)
		}
	}
}

// Aliases could make billions of values out of one page of text.
func TestAliasesDoNotMultiply(t *testing.T) {
	var b strings.Builder
	b.WriteString("defaults:\n  hubspot:\n    inboxes: &long [" + strings.Repeat("1,", 5_000) + "1]\naccounts:\n")
	for i := range 30 {
		b.WriteString("  a" + strings.Repeat("x", i%40) + string(rune('a'+i%26)) + ": {hubspot: {inboxes: *long}}\n")
	}
	if _, _, err := load([]byte(b.String()), "f", "/", nil); err == nil || !strings.Contains(err.Error(), "values") {
		t.Errorf("load: %v, want a bound on the number of values", err)
	}
}

// The reference has a row for every key, with its default, and no other.
func TestDocumentationMatches(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	row := func(path, standard string) {
		want = append(want, path+" = "+strings.ReplaceAll(standard, ",", ", "))
	}
	for _, key := range accountKeys() {
		row("accounts.LABEL."+key.path, key.standard)
	}
	for _, key := range serviceKeys() {
		row(key.path, key.standard)
	}
	for _, match := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (?:`([^`]*)`)? *\\|").FindAllStringSubmatch(string(text), -1) {
		got = append(got, match[1]+" = "+match[2])
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("docs/configuration.md has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !strings.Contains(string(text), Starter) {
		t.Error("docs/configuration.md does not show the starter")
	}
}
