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
	"count": count,
	"counts": func(counts map[string]int) string {
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			parts = append(parts, fmt.Sprintf("%s × %s", group(counts[name]), name))
		}
		return strings.Join(parts, ", ")
	},
	"traffic": Step.traffic,
}).Parse(pageText))

// hover is what the page's script shows of the slice under the pointer.
type hover struct {
	Left     float64  `json:"left"` // of the plot, in the chart's units
	Right    float64  `json:"right"`
	Chart    float64  `json:"chart"` // the chart's width
	Duration Seconds  `json:"duration"`
	Width    Seconds  `json:"width"` // of a slice
	Services []string `json:"services"`
	Statuses []string `json:"statuses"`
	// Slices have the requests per service, per status, those lost and those
	// different, and p50, p99 and max.
	Slices [][]any `json:"slices"`
	Stages []stage `json:"stages"`
}

type stage struct {
	Name  string  `json:"name"`
	Begin Seconds `json:"begin"`
	End   Seconds `json:"end"`
}

// WritePage writes the report for people: one HTML page that needs nothing else.
func (r *Report) WritePage(w io.Writer) error {
	lightSVG, height, areas, err := r.svg(light)
	if err != nil {
		return fmt.Errorf("drawing the timeline: %w", err)
	}
	darkSVG, _, _, err := r.svg(dark)
	if err != nil {
		return fmt.Errorf("drawing the timeline: %w", err)
	}
	h := hover{Left: r.plotLeft(), Right: plotRight, Chart: chartWidth, Duration: r.Duration, Width: r.SliceWidth,
		Services: slices.Sorted(maps.Keys(r.Totals.ByService)), Statuses: slices.Sorted(maps.Keys(r.Totals.ByStatus))}
	for _, s := range r.Slices {
		var services, statuses []int
		for _, name := range h.Services {
			services = append(services, s.ByService[name])
		}
		for _, name := range h.Statuses {
			statuses = append(statuses, s.ByStatus[name])
		}
		h.Slices = append(h.Slices, []any{services, statuses, s.Lost, s.Different, s.Latency.P50.String(), s.Latency.P99.String(), s.Latency.Max.String()})
	}
	// Steps first: a fault lies within a phase.
	for _, s := range r.Steps {
		h.Stages = append(h.Stages, stage{s.Name, s.Begin, s.End})
	}
	for _, p := range r.Phases {
		h.Stages = append(h.Stages, stage{p.Name, p.Begin, p.End})
	}
	return page.Execute(w, struct {
		*Report
		Light, Dark template.HTML // of our own making: every text in it is escaped
		Width       int
		Height      float64
		Areas       []area
		Hover       hover
	}{r, template.HTML(lightSVG), template.HTML(darkSVG), chartWidth, height, areas, h})
}
