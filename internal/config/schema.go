package config

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// schema knows every path of the configuration: sections and leaves, with "*" for
// the label of an account.
type schema struct {
	leaves   map[string]bool
	sections map[string][]string // children's names, in the order of the tables
	account  []string            // leaves of an account, relative
	order    []string            // all paths, sections before their leaves
}

func newSchema() schema {
	s := schema{leaves: map[string]bool{}, sections: map[string][]string{}}
	for _, key := range accountKeys() {
		s.account = append(s.account, key.path)
		s.add("accounts.*." + key.path)
	}
	for _, key := range accountKeys() {
		s.add("defaults." + key.path)
	}
	for _, key := range serviceKeys() {
		s.add(key.path)
	}
	return s
}

func (s *schema) add(path string) {
	s.leaves[path] = true
	parts := strings.Split(path, ".")
	for i, part := range parts {
		parent := strings.Join(parts[:i], ".")
		if !slices.Contains(s.sections[parent], part) {
			s.sections[parent] = append(s.sections[parent], part)
			s.order = append(s.order, strings.Join(parts[:i+1], "."))
		}
	}
}

type what int

const (
	isUnknown what = iota
	isSection
	isLeaf
)

// complaint is why a key is refused, what to write, and which known path was
// probably meant.
type complaint struct{ what, want, meant string }

// look says what a path is; for an unknown one, what was meant.
func (s schema) look(path []string) (what, complaint) {
	if len(path) == 2 && path[0] == "accounts" {
		if bad := checkLabel(path[1]); bad != "" {
			return isUnknown, complaint{what: "the label of an account " + bad, want: labelWant}
		}
	}
	pattern := strings.Join(wildcard(path), ".")
	switch {
	case strings.Contains(path[len(path)-1], "."): // "a.b: c" is not "a: {b: c}"
	case s.leaves[pattern]:
		return isLeaf, complaint{}
	case s.sections[pattern] != nil:
		return isSection, complaint{}
	}
	return isUnknown, s.unknown(path)
}

func (s schema) children(path []string) []string {
	return s.sections[strings.Join(wildcard(path), ".")]
}

// wildcard replaces the label.
func wildcard(path []string) []string {
	if len(path) > 1 && path[0] == "accounts" {
		path = slices.Clone(path)
		path[1] = "*"
	}
	return path
}

func (s schema) unknown(path []string) complaint {
	name := path[len(path)-1]
	switch {
	case name == "<<":
		return complaint{what: "keys cannot be merged in with <<", want: "what all accounts share under defaults:"}
	case strings.Contains(name, "."):
		return complaint{what: "has a dot in its name", want: "the parts below each other"}
	case len(path) > 1 && path[len(path)-2] == "auth":
		return complaint{what: "unknown key (a token itself never stands in the configuration)", want: "token_file: PATH or token_env: NAME"}
	}
	meant := s.nearest(path)
	return complaint{what: "unknown key, the nearest is " + meant, meant: meant}
}

// nearest is the known path that is most probably meant: a neighbour with nearly
// the same name, else a key with this name elsewhere, else the nearest neighbour.
func (s schema) nearest(path []string) string {
	parent, name := path[:len(path)-1], path[len(path)-1]
	neighbour, off := closest(name, s.children(parent))
	if off > 2 {
		var best string
		fewest := math.MaxInt
		for _, candidate := range s.order {
			parts := strings.Split(candidate, ".")
			last := parts[len(parts)-1]
			if last == "*" || parts[0] == "defaults" && path[0] != "defaults" {
				continue
			}
			full := fill(candidate, path)
			if d := distance(name, last); d <= 1 && d*1000+distance(strings.Join(path, "."), full) < fewest {
				best, fewest = full, d*1000+distance(strings.Join(path, "."), full)
			}
		}
		if best != "" {
			return best
		}
	}
	return strings.Join(append(slices.Clone(parent), neighbour), ".")
}

// fill puts the label of a path into a pattern.
func fill(pattern string, path []string) string {
	label := "LABEL"
	if len(path) > 1 && path[0] == "accounts" {
		label = path[1]
	}
	return strings.Replace(pattern, "*", label, 1)
}

// variable is the path of an environment variable's name, without its prefix and
// in lower case. A label may hold double underscores itself, so accounts are
// recognised by the end of the name.
func (s schema) variable(name string) (string, complaint) {
	if rest, ok := strings.CutPrefix(name, "accounts"+envSeparator); ok {
		for _, leaf := range s.account {
			label, ok := strings.CutSuffix(rest, envSeparator+strings.ReplaceAll(leaf, ".", envSeparator))
			if !ok {
				continue
			}
			if bad := checkLabel(label); bad != "" {
				return "", complaint{what: "the label of an account " + bad, want: labelWant}
			}
			return "accounts." + label + "." + leaf, complaint{}
		}
	}
	path := strings.Split(name, envSeparator)
	if joined := strings.Join(path, "."); path[0] != "accounts" && s.leaves[joined] {
		return joined, complaint{}
	}
	return "", s.unknownVariable(path)
}

func (s schema) unknownVariable(path []string) complaint {
	for i := range path {
		what, why := s.look(path[:i+1])
		if what != isUnknown {
			continue
		}
		if why.meant != "" {
			why.what = fmt.Sprintf("there is no key %s, the nearest is %s", strings.Join(path, "."), envName(why.meant))
		}
		return why
	}
	first := strings.Join(append(slices.Clone(path), s.children(path)[0]), ".")
	return complaint{what: "is a section and takes keys, not a value", want: envName(strings.ReplaceAll(first, "*", "label")) + " and so on"}
}

// squashed finds the key that a name without double underscores spells.
func (s schema) squashed(name string) (string, bool) {
	for _, path := range s.order {
		if s.leaves[path] && strings.ReplaceAll(path, ".", "_") == name {
			return path, true
		}
	}
	if rest, ok := strings.CutPrefix(name, "accounts_"); ok {
		for _, leaf := range s.account {
			if label, ok := strings.CutSuffix(rest, "_"+strings.ReplaceAll(leaf, ".", "_")); ok && checkLabel(label) == "" {
				return "accounts." + label + "." + leaf, true
			}
		}
	}
	return "", false
}

// closest is the candidate with the smallest distance.
func closest(name string, candidates []string) (string, int) {
	best, fewest := "", math.MaxInt
	for _, candidate := range candidates {
		if d := distance(name, candidate); d < fewest {
			best, fewest = candidate, d
		}
	}
	return best, fewest
}

// maxCompared bounds the work on names that nobody would write.
const maxCompared = 128

// distance is Levenshtein's: the fewest insertions, deletions and replacements.
func distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	from, to = from[:min(len(from), maxCompared)], to[:min(len(to), maxCompared)]
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i, r := range from {
		diagonal := row[0]
		row[0] = i + 1
		for j, q := range to {
			cost := diagonal
			if r != q {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(to)]
}
