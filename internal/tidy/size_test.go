package tidy

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

const (
	maxFunction = 70
	maxLines    = 500
	maxTest     = 900
)

// checkSizes bounds files, and functions outside of tests. Generated files are as
// long as they are.
func checkSizes(files []file) (violations []string) {
	for _, f := range files {
		if !f.isGo() || f.generated() {
			continue
		}
		limit := maxLines
		if f.isTest() {
			limit = maxTest
		}
		if lines := strings.Count(f.text, "\n"); lines > limit {
			violations = append(violations, fmt.Sprintf("%s: %d lines, at most %d", f.path, lines, limit))
		}
		if f.isTest() {
			continue
		}
		for name, length := range functions(f) {
			if length > maxFunction {
				violations = append(violations, fmt.Sprintf("%s: function %s has %d lines, at most %d", f.path, name, length, maxFunction))
			}
		}
	}
	return violations
}

// functions are the lengths in lines of a file's functions, from `func` to the last
// brace.
func functions(f file) map[string]int {
	lengths := map[string]int{}
	for _, decl := range f.ast.Decls {
		function, ok := decl.(*ast.FuncDecl)
		if !ok || function.Body == nil {
			continue
		}
		name := fmt.Sprintf("%s (line %d)", function.Name.Name, f.set.Position(function.Pos()).Line)
		lengths[name] = f.set.Position(function.End()).Line - f.set.Position(function.Pos()).Line + 1
	}
	return lengths
}

// lengths are those of all functions of the product, sorted.
func lengths(files []file) (all []int) {
	for _, f := range files {
		if f.product() {
			for _, length := range functions(f) {
				all = append(all, length)
			}
		}
	}
	slices.Sort(all)
	return all
}

// percentile of a sorted list that is not empty.
func percentile(sorted []int, p int) int { return sorted[(len(sorted)-1)*p/100] }

// checkNames refuses names that say nothing.
func checkNames(files []file) (violations []string) {
	banned := strings.Fields("util utils common helper helpers manager base misc shared types")
	for _, f := range files {
		if !f.isGo() {
			continue
		}
		name := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.path), ".go"), "_test")
		if slices.Contains(banned, name) || slices.Contains(banned, path.Base(f.dir())) || slices.Contains(banned, strings.TrimSuffix(f.ast.Name.Name, "_test")) {
			violations = append(violations, fmt.Sprintf("%s: name it by a noun of the domain", f.path))
		}
	}
	return violations
}

// checkComments wants a comment on every package, in one place at least.
func checkComments(files []file) (violations []string) {
	described := map[string]bool{}
	for _, f := range files {
		if !f.isGo() || f.isTest() || f.generated() {
			continue
		}
		if _, ok := described[f.dir()]; !ok {
			described[f.dir()] = false
		}
		start := "Package " + f.ast.Name.Name + " "
		if f.ast.Name.Name == "main" {
			start = "Command " + path.Base(f.dir()) + " "
		}
		if strings.HasPrefix(f.ast.Doc.Text(), start) {
			described[f.dir()] = true
		}
	}
	for dir, ok := range described {
		if !ok {
			violations = append(violations, fmt.Sprintf("%s: no comment begins with \"Package ...\" (\"Command ...\" for a main package)", dir))
		}
	}
	slices.Sort(violations)
	return violations
}

// checkTop allows what belongs at the top of the repository.
func checkTop(names []string) (violations []string) {
	allowed := strings.Fields(`.ci .cache .dockerignore .git .gitattributes .gitignore .github bin state
		CHANGELOG.md CONTRIBUTING.md LICENSE README.md SECURITY.md Makefile Dockerfile deploy docker-compose.yml
		buf.gen.yaml buf.lock buf.yaml staticcheck.conf go.mod go.sum cmd docs internal proto`)
	for _, name := range names {
		if !slices.Contains(allowed, name) {
			violations = append(violations, fmt.Sprintf("%s: does not belong at the top of the repository", name))
		}
	}
	return violations
}
