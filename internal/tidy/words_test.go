package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// checkWords looks for marks of unfinished work and for paths of one machine in
// every text but the rules themselves.
func checkWords(files []file) (violations []string) {
	banned := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b|/home/[a-z]+/|/Users/[a-z]+/`)
	for _, f := range files {
		if f.generated() || strings.HasPrefix(f.path, "internal/tidy/") || path.Base(f.path) == "go.sum" {
			continue
		}
		for number, line := range strings.Split(f.text, "\n") {
			if found := banned.FindString(line); found != "" {
				violations = append(violations, fmt.Sprintf("%s:%d: %s", f.path, number+1, found))
			}
		}
	}
	return violations
}

// checkCode looks for what must not be in Go that is written by hand.
func checkCode(files []file) (violations []string) {
	for _, f := range files {
		if !f.isGo() || f.generated() {
			continue
		}
		complain := func(node ast.Node, text string) {
			violations = append(violations, f.at(node)+": "+text)
		}
		ast.Inspect(f.ast, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.FuncDecl:
				if node.Recv == nil && node.Name.Name == "init" {
					complain(node, "func init: build it where it is used, or pass it in")
				}
			case *ast.SelectorExpr:
				if why := bannedSelector(f, node); why != "" {
					complain(node, why)
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(node.Value); node.Kind == token.STRING && err == nil && !f.isTest() && strings.Contains(text, "failed"+" to") {
					complain(node, "an error says what was being done: \"list threads: ...\"")
				}
			case *ast.ImportSpec:
				if strings.HasSuffix(strings.Trim(node.Path.Value, `"`), "/prometheus/promauto") || node.Name != nil && node.Name.Name == "." {
					complain(node, "imports into the default registry, or everything")
				}
			}
			return true
		})
		violations = append(violations, sleeps(f)...)
	}
	return violations
}

// defaults of the standard library and of Prometheus that are shared by the whole
// process.
func processWide() map[string][]string {
	return map[string][]string{
		"http":       {"DefaultServeMux", "DefaultClient", "DefaultTransport", "Get", "Head", "Post", "PostForm", "Handle", "HandleFunc"},
		"prometheus": {"MustRegister", "Register", "Unregister", "DefaultRegisterer", "DefaultGatherer"},
		"promhttp":   {"Handler", "InstrumentMetricHandler"},
		"expvar":     {"Publish", "NewInt", "NewString", "NewMap", "NewFloat"},
		"context":    {"TO" + "DO"},
	}
}

// onlyMain may be used by main packages, tests and the fakes alone: everybody else
// is given a context, and returns what is wrong.
func onlyMain() map[string][]string {
	return map[string][]string{
		"context": {"Background"},
		"os":      {"Exit"},
		"log":     {"Fatal", "Fatalf", "Fatalln", "Print", "Printf", "Println"},
	}
}

func bannedSelector(f file, selector *ast.SelectorExpr) string {
	name, ok := selector.X.(*ast.Ident)
	if !ok || name.Obj != nil { // a local variable with the name of a package
		return ""
	}
	switch what := name.Name + "." + selector.Sel.Name; {
	case slices.Contains(processWide()[name.Name], selector.Sel.Name):
		return what + " is shared by the whole process"
	case slices.Contains(onlyMain()[name.Name], selector.Sel.Name) && !f.isTest() && f.ast.Name.Name != "main" && !testSupport(f.dir()):
		return what + " belongs to main packages"
	}
	return ""
}

// testSupport says whether a package serves tests and the demo alone.
func testSupport(dir string) bool {
	return covers([]string{"internal/hubspottest", "internal/kafkatest", "internal/sim", "internal/tools"}, dir)
}

// sleeps finds tests that wait for time to pass: they are slow, and wrong on a slow
// machine. Inside a synctest bubble time is the test's own; functions that are no
// tests are taken to run in one if their file uses them.
func sleeps(f file) (violations []string) {
	if !f.isTest() {
		return nil
	}
	bubbles := slices.ContainsFunc(f.ast.Imports, func(spec *ast.ImportSpec) bool { return spec.Path.Value == `"testing/synctest"` })
	for _, decl := range f.ast.Decls {
		function, ok := decl.(*ast.FuncDecl)
		if !ok || function.Body == nil || bubbles && !isTestName(function.Name.Name) {
			continue
		}
		ast.Inspect(function.Body, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch callee(call) {
			case "synctest.Test", "synctest.Run":
				return false
			case "time.Sleep":
				violations = append(violations, f.at(call)+": time.Sleep in a test outside of a synctest bubble")
			}
			return true
		})
	}
	return violations
}

func isTestName(name string) bool {
	return strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz") || strings.HasPrefix(name, "Benchmark") || strings.HasPrefix(name, "Example")
}

func callee(call *ast.CallExpr) string {
	if selector, ok := call.Fun.(*ast.SelectorExpr); ok {
		if name, ok := selector.X.(*ast.Ident); ok {
			return name.Name + "." + selector.Sel.Name
		}
	}
	return ""
}
