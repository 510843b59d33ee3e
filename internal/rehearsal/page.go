package rehearsal

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"group": group,
	"took":  took,
	"clock": clock,
	"join":  strings.Join,
	"names": names,
	"count": count,
	"counts": func(counts map[string]int) string {
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			parts = append(parts, fmt.Sprintf("%s × %s", group(counts[name]), name))
		}
		return strings.Join(parts, ", ")
	},
	"traffic": Step.traffic,
	"where":   Covered.where,
	"capital": capital,
	"long":    func(name string) bool { return len(name) > 32 },
	"lines":   func(text string) int { return strings.Count(text, "\n") + 1 },
}).Parse(pageText))

// WritePage writes the report for people: one HTML page that needs nothing else.
func (r *Report) WritePage(w io.Writer) error {
	lightSVG, height := r.svg(light)
	darkSVG, _ := r.svg(dark)
	return page.Execute(w, struct {
		*Report
		Panels                     []panel
		Light, Dark                template.HTML // vgsvg escapes the texts
		Width, Height, Left, Right float64       // of the chart, and the plot's edges
	}{r, r.Coverage.panels(r.label), template.HTML(lightSVG), template.HTML(darkSVG), chartWidth, height, r.plotLeft(), plotRight})
}

// label is a phase's name in short.
func (r *Report) label(phase string) string {
	for _, p := range r.Phases {
		if p.Name == phase {
			return p.Label
		}
	}
	return phase
}
