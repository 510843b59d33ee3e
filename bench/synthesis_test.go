package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestCompareAssemblies(t *testing.T) {
	synthesized := func(template string) string {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"manifest.json": `{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://a/b", "properties": {"templateFile": "t.json"}}}}`,
			"t.json":        template,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	one, two := synthesized(`{"Resources": {"R": {"Type": "A"}}}`), synthesized(`{"Resources": {"R": {"Type": "B"}}}`)
	if err := compareAssemblies(one, one); err != nil {
		t.Errorf("an assembly and itself: %v", err)
	}
	if err := compareAssemblies(one, two); err == nil || !regexp.MustCompile(`(?s)"S":.*-[^\n]*"Type": string\("B"\).*\+[^\n]*"Type": string\("A"\)`).MatchString(err.Error()) {
		t.Errorf("two assemblies: %v", err)
	}
}
