// Package imports tests which package may know what.
package imports_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// TestImports: what runs without CDK, or beside the traffic, does not link CDK. The app
// does not link what only its tests need. What is pure imports nothing of ours.
func TestImports(t *testing.T) {
	deps := func(patterns ...string) []string {
		cmd := exec.Command("go", append([]string{"list", "-deps"}, patterns...)...)
		cmd.Dir = root
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(out))
	}
	without := []string{"./services/...", "./internal/...", "./cmd/...", "./config", "./deployment"}
	for _, dep := range deps(without...) {
		if strings.Contains(dep, "aws-cdk-go") || strings.Contains(dep, "jsii") {
			t.Errorf("one of %s depends on %s", without, dep)
		}
	}
	for _, dep := range deps(".") {
		if strings.Contains(dep, "cdk-nag") {
			t.Errorf("the app depends on %s, which only its tests need", dep)
		}
	}
	migration, module := deps("./migration"), "" // the path of this module, which a fork may have renamed
	for _, dep := range migration {
		if name, ok := strings.CutSuffix(dep, "/migration"); ok {
			module = name + "/"
		}
	}
	for _, dep := range migration {
		if strings.HasPrefix(dep, module) && dep != module+"migration" {
			t.Errorf("migration depends on %s", dep)
		}
	}
	for _, dep := range deps("./config") {
		rest, ours := strings.CutPrefix(dep, module)
		if ours && !slices.Contains([]string{"config", "migration", "internal/capacity", "internal/words"}, rest) {
			t.Errorf("config depends on %s", dep)
		}
	}
}

// spellers may spell resource types: the model, what writes templates, and what stands
// for AWS.
var spellers = []string{"internal/model", "stacks", "internal/emulate"}

// resourceType is the name of a type in a string. With "::" behind it, as in
// AWS::SSM::Parameter::Value<String>, it is the type of a template's parameter.
var resourceType = regexp.MustCompile(`\bAWS::\w+::\w+(::|\b)`)

// TestResourceTypes: everybody else asks the model. Tests may spell what they look for.
func TestResourceTypes(t *testing.T) {
	looked := 0
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(file, root+"/"))
		if entry.IsDir() {
			if slices.Contains(append(spellers, "node_modules", "build", ".git", ".cutover", "cdk.out"), name) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		looked++
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
				for _, spelt := range resourceType.FindAllString(text.Value, -1) {
					if !strings.HasSuffix(spelt, "::") {
						t.Errorf("%s:%d spells %s: take the constant of internal/model", name, set.Position(text.Pos()).Line, spelt)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked < 50 {
		t.Errorf("only %d files were looked at", looked)
	}
}
