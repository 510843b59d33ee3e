package rehearsal

import (
	"cmp"
	"image/color"
	"slices"
	"strings"

	"gonum.org/v1/plot/vg/draw"
)

// lane shows targets of one service that did not live at the same time.
type lane struct {
	service string
	bars    []bar
}

type bar struct {
	state      string
	begin, end Seconds
}

// lanes finds the states of every target. The chart draws the rest together, because
// it has room for a few lanes only.
func (r *Report) lanes() (lanes, rest []*lane) {
	var lives []*lane // one for each target
	byTarget := map[string]*lane{}
	events := slices.Clone(r.Events)
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	for _, e := range events {
		shown := slices.Contains([]string{"initial", "healthy", "unhealthy", "draining"}, e.State)
		if e.Target == "" || !shown && e.State != "unused" {
			continue
		}
		key := e.Service + " " + e.Target
		l := byTarget[key]
		if l == nil {
			l = &lane{service: e.Service}
			byTarget[key] = l
			lives = append(lives, l)
		}
		if n := len(l.bars); n > 0 {
			l.bars[n-1].end = min(l.bars[n-1].end, e.At)
		}
		if shown {
			l.bars = append(l.bars, bar{e.State, e.At, r.Duration})
		}
	}
	var all []*lane
	for _, l := range lives {
		l.bars = slices.DeleteFunc(l.bars, func(b bar) bool { return b.end <= 0 || b.begin >= b.end })
		if len(l.bars) == 0 {
			continue
		}
		free := slices.IndexFunc(all, func(o *lane) bool {
			return o.service == l.service && o.bars[len(o.bars)-1].end <= l.bars[0].begin
		})
		if free < 0 {
			all = append(all, l)
		} else {
			all[free].bars = append(all[free].bars, l.bars...)
		}
	}
	rank := func(service string) int {
		return slices.Index(append(slices.Clone(r.Services), service), service)
	}
	slices.SortStableFunc(all, func(a, b *lane) int {
		return cmp.Or(rank(a.service)-rank(b.service), strings.Compare(a.service, b.service))
	})
	const most = 24
	if len(all) <= most {
		return all, nil
	}
	alone, _ := r.shown()
	for _, l := range all {
		if len(lanes) < most && slices.Contains(alone, l.service) {
			lanes = append(lanes, l)
		} else {
			rest = append(rest, l)
		}
	}
	return lanes, rest
}

// targets draws the lanes. A target is hollow before it is healthy, and paler
// while it is draining.
func (c *chart) targets() {
	lanes, rest := c.lanes()
	if len(lanes)+len(rest) == 0 {
		return
	}
	x := c.title("Targets", nil)
	for _, state := range []string{"initial", "healthy", "draining", "unhealthy"} {
		c.bar(state, c.services[0], x, x+22, c.y-12)
		c.text(x+27, c.y-12, state, style(13, false, c.muted, draw.XLeft))
		x += 27 + textWidth(state, 13, false) + 18
	}
	for i, l := range lanes {
		mid := c.y + laneHeight/2
		if i == 0 || lanes[i-1].service != l.service {
			c.text(c.left-labelGap, mid, brief(l.service), style(12, false, c.ink, draw.XRight))
		}
		c.line(c.grid, 0.7, c.left, mid, plotRight, mid)
		for _, b := range l.bars {
			c.bar(b.state, c.service(l.service), c.x(b.begin), c.x(b.end), mid)
		}
		c.y += laneHeight
	}
	if len(rest) > 0 {
		c.crowd(rest)
	}
	c.y += 8
}

// crowd draws how many targets are in which state when a slice begins.
func (c *chart) crowd(lanes []*lane) {
	c.text(c.left-labelGap, c.y+crowdHeight/2, others(len(lanes)), style(12, false, c.ink, draw.XRight))
	c.y += crowdHeight
	scale := (crowdHeight - 4) / float64(len(lanes))
	y := func(v float64) float64 { return c.y - v*scale }
	col := c.service(lanes[0].service)
	base := make([]float64, len(c.Slices))
	for _, state := range []string{"healthy", "draining", "initial", "unhealthy"} {
		upper := c.each(func(s Slice) (n float64) {
			for _, l := range lanes {
				if slices.ContainsFunc(l.bars, func(b bar) bool { return b.state == state && b.begin <= s.Begin && s.Begin < b.end }) {
					n++
				}
			}
			return n
		})
		edge := slices.Clone(base)
		for i := range upper {
			upper[i] += base[i]
			edge[i] = max(base[i], upper[i]-1.4/scale)
		}
		c.band(base, upper, y, c.state(state, col))
		if state == "initial" {
			c.band(edge, upper, y, col)
		}
		base = upper
	}
	c.line(c.grid, 0.7, c.left, c.y, plotRight, c.y)
}

// state is the colour of a target in a state.
func (c *chart) state(state string, col color.Color) color.Color {
	switch state {
	case "initial":
		return c.paper
	case "unhealthy":
		return c.bad
	case "draining":
		return mix(col, c.paper)
	}
	return col
}

// bar draws a target's state around a middle line.
func (c *chart) bar(state string, col color.Color, x0, x1, mid float64) {
	x1 = max(x1, x0+1)
	c.rect(x0, mid-5, x1, mid+5, c.state(state, col))
	if state == "initial" {
		c.line(col, 1.4, x0+0.7, mid-4.3, x1-0.7, mid-4.3, x1-0.7, mid+4.3, x0+0.7, mid+4.3, x0+0.7, mid-4.3)
	}
}
