package rehearsal

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// maxColumns is the most parts of a kind that the picture of the coverage shows.
const maxColumns = 120

// panel is the picture of the parts of one kind: a column for each part, a row for each phase.
type panel struct {
	Kind  string
	Text  string // how many were asked
	Parts int    // columns
	Rows  []row
}

type row struct {
	Phase string
	Cells []cell
}

// cell is a part in a phase.
type cell struct {
	Class string
	Title string
}

// panels are the picture of the coverage. Label names a phase in short.
func (c Coverage) panels(label func(phase string) string) (panels []panel) {
	most := 0
	for _, p := range c.Parts {
		most = max(most, slices.Max(append(p.counts(), 0)))
	}
	for _, kind := range kinds {
		parts := slices.DeleteFunc(slices.Clone(c.Parts), func(p Covered) bool { return p.Kind != kind })
		if len(parts) == 0 || len(c.Phases) == 0 {
			continue
		}
		show := panel{Kind: kind, Parts: min(len(parts), maxColumns)}
		states := map[string]int{}
		for _, p := range parts {
			states[p.State]++
		}
		for _, state := range byState {
			if states[state] > 0 {
				show.Text += fmt.Sprintf(", %s %s", group(states[state]), state)
			}
		}
		if len(parts) > maxColumns {
			show.Text += fmt.Sprintf("; the first %d are drawn", maxColumns)
		}
		show.Text = strings.TrimPrefix(show.Text, ", ")
		for i, phase := range c.Phases {
			r := row{Phase: label(phase)}
			for _, p := range parts[:show.Parts] {
				r.Cells = append(r.Cells, p.cell(i, phase, most))
			}
			show.Rows = append(show.Rows, r)
		}
		panels = append(panels, show)
	}
	return panels
}

// counts are the requests in the phases that have the part.
func (c Covered) counts() (all []int) {
	for _, n := range c.ByPhase {
		if n != nil {
			all = append(all, *n)
		}
	}
	return all
}

// cell draws a phase. A colour has four shades, for as many magnitudes of requests.
func (c Covered) cell(i int, phase string, most int) cell {
	n := c.ByPhase[i]
	switch {
	case n == nil:
		return cell{"absent", fmt.Sprintf("%s: not in %s", c.Name, phase)}
	case slices.Contains(c.Missing, phase):
		return cell{"none", fmt.Sprintf("%s: no request in %s", c.Name, phase)}
	case *n == 0:
		return cell{"intended", fmt.Sprintf("%s: no request in %s, and none has to come", c.Name, phase)}
	}
	shade := 1 + int(3.99*math.Log1p(float64(*n))/math.Log1p(float64(most)))
	class := fmt.Sprintf("n%d", min(shade, 4))
	if c.State == saysNothing {
		class += " bare"
	}
	return cell{class, fmt.Sprintf("%s: %s in %s", c.Name, count(*n, "request"), phase)}
}

// where says how many requests came in which phase, and where they are missing.
func (c Covered) where(phases []string) string {
	var texts []string
	for i, n := range c.ByPhase {
		if n != nil && *n > 0 {
			texts = append(texts, fmt.Sprintf("%s in %s", group(*n), phases[i]))
		}
	}
	if len(c.Missing) > 0 {
		texts = append(texts, "none in "+strings.Join(c.Missing, ", "))
	}
	return strings.Join(texts, ", ")
}
