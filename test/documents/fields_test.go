package documents_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fieldTypes are the types that a list of services is written with. Those of a table stand together.
var fieldTypes = [][]string{
	{"Service"}, {"Route"}, {"EC2", "Fargate", "Lambda"}, {"ServiceConnect", "CloudMap"}, {"GoPackage", "Dockerfile", "Registry"}, {"HealthCheck"}, {"Secret"},
	{"WritablePath", "Volume"}, {"Container"}, {"Dependency"}, {"Statement"}, {"Ulimit"}, {"Alarms"}, {"API", "Cached", "Validated"},
}

var (
	defaultValue = regexp.MustCompile(` ?Defaults?: (.+?)(\. |\.?$)`)
	godocLink    = regexp.MustCompile(`\[([A-Za-z0-9.]+)\]`)
	// subject is the beginning of a comment: the field, and a verb that says no more than the column.
	subject = regexp.MustCompile(`^(The others|[A-Z]\w*( and \w+)*) ((is|are|has|have|says) )?`)
)

// fieldTables are the tables of the fields of a service, written from the comments in config.
func fieldTables(t *testing.T) map[string]string {
	t.Helper()
	structs := map[string]*ast.StructType{}
	for _, file := range []string{"config.go", "compute.go", "container.go", "discovery.go", "api.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "config", file), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				structs[spec.Name.Name], _ = spec.Type.(*ast.StructType)
			}
			return true
		})
	}
	tables := map[string]string{}
	for _, group := range fieldTypes {
		var b strings.Builder
		b.WriteString("| field | type | default | meaning |\n|---|---|---|---|\n")
		for _, name := range group {
			if structs[name] == nil {
				t.Fatalf("config has no struct %s", name)
			}
			prefix := ""
			if len(group) > 1 {
				prefix = name + "."
			}
			for _, row := range fieldRows(t, prefix, structs[name]) {
				fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", strings.Join(row.names, ", "), strings.Join(row.types, ", "), row.value, row.meaning)
			}
		}
		tables["fields "+strings.Join(group, " ")] = b.String()
	}
	return tables
}

// row is a line of a table: the fields that have a comment together.
type row struct {
	names, types   []string
	value, meaning string
}

func fieldRows(t *testing.T, prefix string, s *ast.StructType) (rows []row) {
	for _, field := range s.Fields.List {
		if text := strings.Join(strings.Fields(field.Doc.Text()), " "); text != "" {
			meaning, value := described(text)
			rows = append(rows, row{value: value, meaning: meaning})
		} else if len(rows) == 0 {
			t.Fatalf("config: %s%s has no comment", prefix, field.Names[0])
		}
		last := &rows[len(rows)-1]
		for _, name := range field.Names {
			last.names = append(last.names, "`"+prefix+name.Name+"`")
		}
		if of := "`" + types.ExprString(field.Type) + "`"; !slices.Contains(last.types, of) {
			last.types = append(last.types, of)
		}
	}
	return rows
}

// described returns the parts of a field's comment: what the field means, and its default.
func described(comment string) (meaning, value string) {
	meaning = comment
	if at := defaultValue.FindStringSubmatchIndex(comment); at != nil {
		value = comment[at[2]:at[3]]
		meaning = strings.TrimSpace(comment[:at[0]] + " " + comment[at[1]:])
	}
	if before, required := strings.CutSuffix(meaning, " Required."); required {
		meaning, value = before, "required"
	}
	plain := func(text string) string {
		return strings.NewReplacer("*", `\*`, "|", `\|`).Replace(godocLink.ReplaceAllString(text, "`$1`"))
	}
	return plain(strings.TrimSuffix(subject.ReplaceAllString(meaning, ""), ".")), plain(value)
}

// TestServicesInDocuments: the services in the documents' Go blocks compile, and nothing is wrong
// with them. A block is a part of a list of services.
func TestServicesInDocuments(t *testing.T) {
	var lists []string
	for _, name := range []string{"services.md", "routes.md", "discovery.md"} {
		text, err := os.ReadFile(filepath.Join(root, "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range goBlock.FindAllStringSubmatch(string(text), -1) {
			lists = append(lists, "{\n"+match[1]+"},\n")
		}
	}
	if len(lists) < 5 {
		t.Errorf("only %d blocks of Go are found", len(lists))
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(strings.Replace(checkLists, "LISTS", strings.Join(lists, ""), 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	run := exec.Command("go", "run", file)
	run.Dir = root // the module that has config
	if output, err := run.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// checkLists is a program that says what is wrong with lists of services.
const checkLists = `package main

import (
	"fmt"
	"os"

	"cutover/config"
)

func main() {
	for _, services := range [][]config.Service{
LISTS	} {
		d := config.Deployment{Monolith: config.Service{Name: "shop", Paths: []string{"/api*"}}, Services: services}
		if _, _, err := config.Load(d, map[string]any{}, os.Getenv); err != nil {
			fmt.Println(err)
			defer os.Exit(1)
		}
	}
}
`
