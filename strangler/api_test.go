package strangler_test

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"cutover/internal/golden"
)

// TestAPI pins what other modules may use: a change of it is a change of theirs.
func TestAPI(t *testing.T) {
	files, err := filepath.Glob("strangler/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var api bytes.Buffer
	set := token.NewFileSet()
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(set, file, nil, 0) // without comments
		if err != nil {
			t.Fatal(err)
		}
		ast.FileExports(tree)
		for _, decl := range tree.Decls {
			if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.IMPORT {
				continue
			}
			if d, ok := decl.(*ast.FuncDecl); ok {
				if d.Recv != nil {
					continue // the interfaces have them
				}
				d.Body = nil
			}
			if err := format.Node(&api, set, decl); err != nil {
				t.Fatal(err)
			}
			api.WriteString("\n\n")
		}
	}
	golden.Compare(t, "strangler/testdata/api.txt", api.Bytes())
}
