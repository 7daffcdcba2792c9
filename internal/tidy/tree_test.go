package tidy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/threadcast/threadcast"

// file is one file of the tree, parsed if it is Go.
type file struct {
	path string // from the module's root, with slashes
	text string
	set  *token.FileSet
	ast  *ast.File // nil: not Go
}

func (f file) dir() string     { return path.Dir(f.path) }
func (f file) isGo() bool      { return f.ast != nil }
func (f file) isTest() bool    { return strings.HasSuffix(f.path, "_test.go") }
func (f file) generated() bool { return f.isGo() && ast.IsGenerated(f.ast) }

// product says whether the file is Go that is written by hand and runs outside of
// tests.
func (f file) product() bool { return f.isGo() && !f.isTest() && !f.generated() }

func (f file) at(node ast.Node) string {
	return fmt.Sprintf("%s:%d", f.path, f.set.Position(node.Pos()).Line)
}

// source makes a file of a text; for the tests of the rules.
func source(t testing.TB, name, text string) file {
	t.Helper()
	f := file{path: name, text: text, set: token.NewFileSet()}
	if strings.HasSuffix(name, ".go") {
		parsed, err := parser.ParseFile(f.set, name, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		f.ast = parsed
	}
	return f
}

// root is the directory of go.mod.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("there is no go.mod above this test")
		}
		dir = filepath.Dir(dir)
	}
}

// skipped are directories that are not part of the source.
func skipped(name string) bool {
	switch name {
	case ".git", ".cache", "bin", "state", "testdata", "node_modules":
		return true
	}
	return false
}

// maxText is the largest file that is read; whatever is larger is data.
const maxText = 2 << 20

// tree reads every text of the module, those of nested modules too.
func tree(t testing.TB) []file {
	t.Helper()
	top := root(t)
	var files []file
	err := filepath.WalkDir(top, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != top && skipped(entry.Name()):
			return filepath.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		if info, err := entry.Info(); err != nil || info.Size() > maxText {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		files = append(files, source(t, filepath.ToSlash(relative), string(data)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
