package rehearsal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/mattn/go-isatty"
)

// WriteSummary writes the report as text. The text is coloured on a terminal, unless
// NO_COLOR is set or TERM is "dumb".
func (r *Report) WriteSummary(w io.Writer) error {
	bold, red, green, yellow, plain := "", "", "", "", ""
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		bold, red, green, yellow, plain = "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"
	}
	var b strings.Builder
	if r.Totals.Requests > 0 {
		header, rows, _ := strings.Cut(r.table(), "\n")
		fmt.Fprintf(&b, "%s%s%s\n%s\n", bold, header, plain, rows)
	}
	for _, s := range r.Steps {
		for _, text := range s.traffic() {
			fmt.Fprintf(&b, "  %s: %s\n", s.Name, text)
		}
		if s.Failure != "" {
			fmt.Fprintf(&b, "  %s%s: %s%s\n", red, s.Name, strings.ReplaceAll(s.Failure, "\n", "\n    "), plain)
		}
		if s.Fault != nil {
			for _, why := range s.Fault.Why {
				fmt.Fprintf(&b, "  %s%s, not contained: %s%s\n", red, s.Name, why, plain)
			}
		}
	}
	if len(r.Losses) > 0 {
		b.WriteString("\n")
	}
	for _, loss := range r.Losses {
		color := red
		switch {
		case loss.Excused:
			color = ""
		case loss.Overloaded:
			color = yellow
		}
		fmt.Fprintf(&b, "  %s%s: %s%s in %s, %s to %s: %s\n", color, loss.what(), count(loss.Count, "request"), plain, loss.Stage, clock(loss.First), clock(loss.Last), loss.Why)
		if sample := loss.Samples[0]; sample.Detail != "" {
			fmt.Fprintf(&b, "    for example %s: %s\n", sample.Route, sample.Detail)
		}
	}
	for _, stray := range r.Strays {
		fmt.Fprintf(&b, "  %s%s%s\n", red, stray, plain)
	}
	if r.Totals.Requests > 0 {
		fmt.Fprintf(&b, "\n  Requests were sent up to %s late (p99 %s).\n", r.Late.Max, r.Late.Tail())
	}
	for _, finding := range r.Findings {
		fmt.Fprintf(&b, "  %s%s%s\n", red, finding, plain)
		for _, line := range finding.Detail {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	r.writeExtent(&b, red, plain)
	color := map[string]string{"passed": green, "passed with gaps": yellow, "inconclusive": yellow, "failed": red}[r.Verdict.Word()]
	fmt.Fprintf(&b, "\n%s%s%s%s %s\n", bold, color, strings.ToUpper(r.Verdict.Word()), plain, r.Verdict.Sentence)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeExtent writes what was requested, what became of streams, and how far the check went.
func (r *Report) writeExtent(b *strings.Builder, red, plain string) {
	if r.Workload != "" {
		fmt.Fprintf(b, "  Requests: %s.\n", r.Workload)
	}
	for _, end := range r.Streams {
		if end.Ended == "" {
			continue
		}
		color := ""
		if end.Fails {
			color = red
		}
		fmt.Fprintf(b, "  %sStream: %s%s\n", color, end, plain)
	}
	for _, line := range r.Checked {
		fmt.Fprintf(b, "  Checked: %s\n", line)
	}
	for _, part := range r.Ignored {
		fmt.Fprintf(b, "  Ignored: %s\n", part)
	}
	if text := r.Coverage.String(); text != "" {
		fmt.Fprintf(b, "  Coverage: %s.\n", text)
	}
	for _, line := range r.bare() {
		fmt.Fprintf(b, "  Says nothing: %s\n", line)
	}
	for _, part := range r.Verdict.Intended {
		fmt.Fprintf(b, "  Intended: %s\n", part)
	}
	for _, gap := range r.Verdict.Gaps {
		fmt.Fprintf(b, "  Gap: %s\n", gap)
	}
}

// table has a row for each step.
func (r *Report) table() string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(cells ...string) { fmt.Fprintln(table, strings.Join(cells, "\t")+"\t") }
	line("step", "took", "requests", "lost", "different", "before p50/p99/max ms", "during", "after")
	for _, s := range r.Steps {
		line(s.Name, took(s.Duration()), group(s.Requests), group(s.Lost), group(s.Different), s.Before.String(), s.Totals.Latency.String(), s.After.String())
	}
	t := r.Totals
	line("all", took(r.Duration), group(t.Requests), group(t.Lost), group(t.Different), "", t.Latency.String(), "")
	table.Flush()
	return b.String()
}
