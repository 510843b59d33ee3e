package model

import (
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestReplaces(t *testing.T) {
	for _, test := range []struct {
		resourceType    string
		changed         []string
		replaces, known bool
	}{
		{SSMParameter, nil, false, true},
		{SSMParameter, []string{"Value"}, false, true},
		{SSMParameter, []string{"Value", "Name"}, true, true},
		{ECSTaskDefinition, []string{"Tags"}, false, true},
		{ECSTaskDefinition, []string{"Cpu"}, true, true},
		{ECSTaskDefinition, nil, false, true},
		{"X::Y::Z", []string{"Name"}, false, false},
	} {
		if replaces, known := Replaces(test.resourceType, test.changed...); replaces != test.replaces || known != test.known {
			t.Errorf("%s %v: %v, known %v, want %v, %v", test.resourceType, test.changed, replaces, known, test.replaces, test.known)
		}
	}
	if !Moves(EC2LaunchTemplate, "LatestVersionNumber") || Moves(EC2LaunchTemplate, "LaunchTemplateId") {
		t.Error("of a launch template LatestVersionNumber moves, and nothing else")
	}
}

func TestCosts(t *testing.T) {
	for resourceType, want := range map[string][]string{ELBLoadBalancer: {"loadBalancer", "publicIPv4", "loadBalancerCapacity"}, IAMRole: {}} {
		if prices, known := Costs(resourceType); !known || !slices.Equal(prices, want) {
			t.Errorf("%s costs %q, known %v, want %q", resourceType, prices, known, want)
		}
	}
	if _, known := Costs("AWS::RDS::DBInstance"); known {
		t.Error("the price of a database is known")
	}
}

// resourceType is the name of a type in a text.
var resourceType = regexp.MustCompile(`\bAWS::\w+::\w+(::|\b)`)

// Only the model, what writes templates and what stands for AWS spell the name of a
// resource type. Others use the model's constants, and its values.
func TestOnlyTheModelNamesTypes(t *testing.T) {
	root := "../.."
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if entry.IsDir() {
			if slices.Contains([]string{"internal/model", "internal/emulate", "stacks", "node_modules", "build"}, name) || strings.HasPrefix(entry.Name(), ".") && name != "." {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files := token.NewFileSet()
		var s scanner.Scanner
		s.Init(files.AddFile(name, -1, len(source)), source, nil, 0)
		for {
			at, kind, text := s.Scan()
			if kind == token.EOF {
				return nil
			}
			for _, found := range resourceType.FindAllString(text, -1) {
				// With "::" behind it, as in AWS::SSM::Parameter::Value<String>, it is the type of
				// a template's parameter.
				if kind == token.STRING && !strings.HasSuffix(found, "::") {
					t.Errorf("%v: %s: use a constant of internal/model", files.Position(at), found)
				}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
