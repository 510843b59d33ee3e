package step

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"

	"cutover/config"
)

// Services reads the list of services out of a Go source file, main.go, as
// somebody reads it there: what the app makes of it would take CDK. It has what
// a step of the migration is about: names, load balancers, paths, orders and counts.
//
// The list is a composite literal of type config.Deployment with plain values in
// these fields. An error names the place of anything else.
func Services(file string) (config.Deployment, error) {
	var d config.Deployment
	source := token.NewFileSet()
	parsed, err := parser.ParseFile(source, file, nil, parser.SkipObjectResolution)
	if err != nil {
		return d, fmt.Errorf("the list of services: %w", err)
	}
	var list *ast.CompositeLit
	ast.Inspect(parsed, func(node ast.Node) bool {
		literal, ok := node.(*ast.CompositeLit)
		if !ok || list != nil {
			return list == nil
		}
		if name, ok := literal.Type.(*ast.SelectorExpr); ok && name.Sel.Name == "Deployment" {
			list = literal
		}
		return list == nil
	})
	if list == nil {
		return d, fmt.Errorf("%s has no list of services: it is a literal of the type config.Deployment", file)
	}
	r := &literals{source: source}
	r.fields(list, func(field string, value ast.Expr) {
		switch field {
		case "Monolith":
			d.Monolith = r.service(value)
		case "Services":
			for _, element := range r.elements(value) {
				d.Services = append(d.Services, r.service(element))
			}
		}
	})
	return d, errors.Join(r.problems...)
}

// literals takes plain values out of expressions.
type literals struct {
	source   *token.FileSet
	problems []error
}

func (r *literals) service(value ast.Expr) (s config.Service) {
	r.fields(value, func(field string, value ast.Expr) {
		switch field {
		case "Name":
			s.Name = r.text(value)
		case "LoadBalancer":
			s.LoadBalancer = r.text(value)
		case "Paths":
			for _, element := range r.elements(value) {
				s.Paths = append(s.Paths, r.text(element))
			}
		case "Order":
			s.Order = r.number(value)
		case "Tasks":
			s.Tasks = r.number(value)
		case "MaxTasks":
			s.MaxTasks = r.number(value)
		}
	})
	return s
}

func (r *literals) refuse(at ast.Expr, want string) {
	r.problems = append(r.problems, fmt.Errorf("%v: not %s, which is all that this command understands in the list of services", r.source.Position(at.Pos()), want))
}

func (r *literals) elements(value ast.Expr) []ast.Expr {
	literal, ok := value.(*ast.CompositeLit)
	if !ok {
		r.refuse(value, "a literal")
		return nil
	}
	return literal.Elts
}

func (r *literals) fields(value ast.Expr, f func(field string, value ast.Expr)) {
	for _, element := range r.elements(value) {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			r.refuse(element, "a field with its name")
			continue
		}
		if name, ok := pair.Key.(*ast.Ident); ok {
			f(name.Name, pair.Value)
		}
	}
}

func (r *literals) text(value ast.Expr) string {
	if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING {
		if text, err := strconv.Unquote(literal.Value); err == nil {
			return text
		}
	}
	r.refuse(value, "a string")
	return ""
}

func (r *literals) number(value ast.Expr) int {
	if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.INT {
		if n, err := strconv.Atoi(literal.Value); err == nil {
			return n
		}
	}
	r.refuse(value, "a number")
	return 0
}
