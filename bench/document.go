package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"text/template"
)

var document = filepath.Join("docs", "performance.md")

// documentTemplate is the document without the tables.
//
//go:embed performance.md.tmpl
var documentTemplate string

// errSkipped is the error of a section that this machine cannot measure.
var errSkipped = errors.New("SKIPPED")

// section is a part of the measurements and of the document.
type section struct {
	name    string // in the option -only and in the template
	needs   string // operating system, or with a slash also the processor; empty for any
	measure func(out io.Writer) error
	output  bytes.Buffer
}

// run measures the section, if this machine can.
func (s *section) run(out io.Writer) error {
	if machine := runtime.GOOS + "/" + runtime.GOARCH; !strings.HasPrefix(machine+"/", s.needs) {
		return fmt.Errorf("%w: %s needs %s, and this machine is %s", errSkipped, s.name, s.needs, machine)
	}
	return s.measure(io.MultiWriter(out, &s.output))
}

// writeDocument writes the document with the output of the sections.
func writeDocument(ctx context.Context, sections []section) error {
	node, err := exec.CommandContext(ctx, filepath.Join("node_modules", "node", "bin", "node"), "--version").Output()
	if err != nil {
		return fmt.Errorf("the version of Node.js: %w", err)
	}
	text, err := render(fmt.Sprintf("%d cores, %s/%s, %s, Node.js %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), strings.TrimSpace(string(node))), sections)
	if err != nil {
		return err
	}
	if err := os.WriteFile(document, text, 0o644); err != nil {
		return err
	}
	fmt.Println("Written to", document)
	return nil
}

func render(machine string, sections []section) ([]byte, error) {
	measured := map[string]string{"machine": machine}
	for i := range sections {
		measured[sections[i].name] = strings.TrimRight(sections[i].output.String(), "\n")
	}
	t, err := template.New("document").Option("missingkey=error").Parse(documentTemplate)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = t.Execute(&text, measured)
	return text.Bytes(), err
}
