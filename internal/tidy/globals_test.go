package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
)

// checkGlobals refuses variables of a package that change: those that are assigned
// to, and those that are made to be changed. Tables that are only read are allowed.
func checkGlobals(files []file) (violations []string) {
	byDir := map[string][]file{}
	for _, f := range files {
		if f.product() {
			byDir[f.dir()] = append(byDir[f.dir()], f)
		}
	}
	for _, group := range byDir {
		globals := map[string]bool{}
		for _, f := range group {
			for _, spec := range variables(f) {
				for _, name := range spec.Names {
					globals[name.Name] = true
				}
				if changing(spec) {
					violations = append(violations, fmt.Sprintf("%s: the variable %s of the package is made to change", f.at(spec), spec.Names[0].Name))
				}
			}
		}
		delete(globals, "_")
		for _, f := range group {
			violations = append(violations, assignments(f, globals)...)
		}
	}
	slices.Sort(violations)
	return violations
}

// variables are those declared at the top of a file.
func variables(f file) (specs []*ast.ValueSpec) {
	for _, decl := range f.ast.Decls {
		if general, ok := decl.(*ast.GenDecl); ok && general.Tok == token.VAR {
			for _, spec := range general.Specs {
				specs = append(specs, spec.(*ast.ValueSpec))
			}
		}
	}
	return specs
}

// changing says whether a variable's type is one whose use is to change it.
func changing(spec *ast.ValueSpec) bool {
	selector, ok := spec.Type.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	name, ok := selector.X.(*ast.Ident)
	return ok && (name.Name == "atomic" || name.Name == "sync")
}

// assignments finds statements that change one of the variables.
func assignments(f file, globals map[string]bool) (violations []string) {
	check := func(target ast.Expr) {
		name := base(target)
		if name == nil || !globals[name.Name] || local(f, name) {
			return
		}
		violations = append(violations, fmt.Sprintf("%s: the variable %s of the package is changed", f.at(target), name.Name))
	}
	ast.Inspect(f.ast, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.AssignStmt:
			if node.Tok != token.DEFINE {
				for _, target := range node.Lhs {
					check(target)
				}
			}
		case *ast.IncDecStmt:
			check(node.X)
		case *ast.UnaryExpr:
			if node.Op == token.AND {
				check(node.X)
			}
		}
		return true
	})
	return violations
}

// base is the variable that an expression begins with: x of x.y[z].
func base(expr ast.Expr) *ast.Ident {
	for {
		switch at := expr.(type) {
		case *ast.Ident:
			return at
		case *ast.SelectorExpr:
			expr = at.X
		case *ast.IndexExpr:
			expr = at.X
		case *ast.StarExpr:
			expr = at.X
		case *ast.ParenExpr:
			expr = at.X
		default:
			return nil
		}
	}
}

// local says whether a name is declared in a function. The parser resolves names
// within a file; what it leaves open is declared in another file of the package.
func local(f file, name *ast.Ident) bool {
	return name.Obj != nil && f.ast.Scope.Lookup(name.Name) != name.Obj
}
