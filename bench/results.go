package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// figure is a measured value with a unit of Go's benchmarks.
type figure struct {
	value float64
	unit  string
}

// results are measurements in the format of Go's benchmarks
// (https://go.dev/design/14313-benchmark-format). The runner of Go's benchmarks cannot measure in
// turns: with -count it repeats one benchmark before it runs the next.
type results struct {
	text   bytes.Buffer
	values map[string][]float64 // by name and unit
}

// add adds the figures of a round. A name is like Service/server=koa.
func (r *results) add(name string, figures ...figure) {
	fmt.Fprintf(&r.text, "Benchmark%s 1", name)
	for _, f := range figures {
		fmt.Fprintf(&r.text, " %g %s", f.value, f.unit)
		if r.values == nil {
			r.values = map[string][]float64{}
		}
		r.values[name+" "+f.unit] = append(r.values[name+" "+f.unit], f.value)
	}
	r.text.WriteByte('\n')
}

// median returns the median of the rounds, 0 without any.
func (r *results) median(name, unit string) float64 {
	values := slices.Sorted(slices.Values(r.values[name+" "+unit]))
	if n := len(values); n > 0 {
		return (values[(n-1)/2] + values[n/2]) / 2
	}
	return 0
}

// compare prints benchstat's tables: a table for each unit, with a column for each value of the
// key in the names. The others are compared with the first value.
func (r *results) compare(ctx context.Context, out io.Writer, work, key string, values ...string) error {
	file := filepath.Join(work, key+".txt")
	if err := os.WriteFile(file, r.text.Bytes(), 0o600); err != nil {
		return err
	}
	stat := exec.CommandContext(ctx, "go", "tool", "benchstat", "-col", fmt.Sprintf("/%s@(%s)", key, strings.Join(values, " ")), file)
	stat.Stderr = os.Stderr
	text, err := stat.Output()
	if err != nil {
		return fmt.Errorf("benchstat: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		// The measurements of a table differ too much for a mean.
		if !strings.HasPrefix(line, "geomean") && !strings.Contains(line, "geomeans") {
			fmt.Fprintln(out, strings.TrimRight(line, " \n"))
		}
	}
	return nil
}
