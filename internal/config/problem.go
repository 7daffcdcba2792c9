package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Where string // file:line, or an environment variable; empty: nowhere, something is missing
	Key   string // full path of the key; empty: the file as a whole
	What  string // what is wrong
	Want  string // what to write instead; may be empty
	line  int
}

// String is the problem on one line, unless Want shows a whole file.
func (p Problem) String() string {
	var b strings.Builder
	for _, part := range []string{p.Where, p.Key} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	b.WriteString(p.What)
	if p.Want != "" {
		b.WriteString("; write " + p.Want)
	}
	return b.String()
}

// Error is every problem of a configuration at once, in the order of the file.
type Error struct {
	Problems []Problem
}

// Error has one line a problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, problem := range e.Problems {
		lines[i] = problem.String()
	}
	if len(lines) == 1 {
		return "configuration: " + lines[0]
	}
	return fmt.Sprintf("configuration: %d problems\n  %s", len(lines), strings.Join(lines, "\n  "))
}

// ExitCode is the exit code of a process that stops for this error.
func (e *Error) ExitCode() int { return 78 }

// Warning is something that works but is probably not meant.
type Warning struct {
	Where string // as in Problem
	Key   string
	Text  string
}

// String is the warning on one line.
func (w Warning) String() string {
	return Problem{Where: w.Where, Key: w.Key, What: w.Text}.String()
}

// maxProblems are reported; a file of another program has too many to read.
const maxProblems = 50

// findings collect what is wrong and what is odd.
type findings struct {
	problems []Problem
	warnings []Warning
}

func (f *findings) problem(at origin, key, what, want string) {
	f.problems = append(f.problems, Problem{Where: at.where, Key: key, What: what, Want: want, line: at.line})
}

func (f *findings) warn(at origin, key, format string, args ...any) {
	f.warnings = append(f.warnings, Warning{Where: at.where, Key: key, Text: fmt.Sprintf(format, args...)})
}

// err is nil without problems. A value of `defaults` that is wrong for every
// account is one problem.
func (f *findings) err() error {
	if len(f.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(f.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.Where, b.Where), cmp.Compare(a.Key, b.Key))
	})
	f.problems = slices.Compact(f.problems)
	if more := len(f.problems) - maxProblems; more > 0 {
		f.problems = append(f.problems[:maxProblems], Problem{What: fmt.Sprintf("and %d more problems", more)})
	}
	return &Error{Problems: f.problems}
}
