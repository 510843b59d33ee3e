package rehearsal

import (
	"cmp"
	"image/color"
	"slices"
	"strings"

	"gonum.org/v1/plot/vg/draw"
)

// lane is the life of one or more targets of a service that did not overlap.
type lane struct {
	service string
	bars    []bar
}

type bar struct {
	target, state string
	begin, end    Seconds
}

// lanes finds when which target was in which state. If there are too many lanes,
// the rest are those that are drawn together.
func (r *Report) lanes() (lanes, rest []lane) {
	type life struct {
		service string
		bars    []bar
	}
	lives := map[string]*life{}
	var order []string
	events := slices.Clone(r.Events)
	slices.SortStableFunc(events, func(a, b Mark) int { return cmp.Compare(a.At, b.At) })
	shown := func(state string) bool {
		return slices.Contains([]string{"initial", "healthy", "unhealthy", "draining"}, state)
	}
	for _, e := range events {
		if e.Target == "" || !shown(e.State) && e.State != "unused" {
			continue
		}
		key := e.Service + " " + e.Target
		l := lives[key]
		if l == nil {
			l = &life{service: e.Service}
			lives[key] = l
			order = append(order, key)
		}
		if n := len(l.bars); n > 0 && l.bars[n-1].end > e.At {
			l.bars[n-1].end = e.At
		}
		if shown(e.State) {
			l.bars = append(l.bars, bar{e.Target, e.State, e.At, r.Duration})
		}
	}
	var all []lane
	for _, key := range order {
		l := lives[key]
		l.bars = slices.DeleteFunc(l.bars, func(b bar) bool { return b.end <= 0 || b.begin >= b.end })
		if len(l.bars) == 0 {
			continue
		}
		free := slices.IndexFunc(all, func(o lane) bool {
			return o.service == l.service && o.bars[len(o.bars)-1].end <= l.bars[0].begin
		})
		if free < 0 {
			free = len(all)
			all = append(all, lane{service: l.service})
		}
		all[free].bars = append(all[free].bars, l.bars...)
	}
	rank := func(service string) int {
		if i := slices.Index(r.Services, service); i >= 0 {
			return i
		}
		return len(r.Services)
	}
	slices.SortStableFunc(all, func(a, b lane) int {
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
	c.title("Targets", nil)
	x := c.left + textWidth("Targets", 13, true) + 22
	for _, state := range []string{"initial", "healthy", "draining", "unhealthy"} {
		c.bar(state, c.services[0], x, x+22, c.y-12)
		c.text(x+27, c.y-12, state, style(13, false, c.muted, draw.XLeft))
		x += 27 + textWidth(state, 13, false) + 18
	}
	for i, l := range lanes {
		mid := c.y + laneHeight/2
		if i == 0 || lanes[i-1].service != l.service {
			c.text(c.left-labelGap, mid, l.service, style(12, false, c.ink, draw.XRight))
		}
		c.line(c.grid, 0.7, c.left, mid, plotRight, mid)
		for _, b := range l.bars {
			c.bar(b.state, c.service(c.Report, l.service), c.x(max(b.begin, 0)), c.x(b.end), mid)
		}
		c.y += laneHeight
	}
	if len(rest) > 0 {
		c.crowd(rest)
	}
	c.y += 8
}

// crowd draws how many targets of many lanes are in which state.
func (c *chart) crowd(lanes []lane) {
	var edges []Seconds
	for _, l := range lanes {
		for _, b := range l.bars {
			edges = append(edges, max(b.begin, 0), b.end)
		}
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)
	counts := map[string][]float64{}
	states := []string{"healthy", "draining", "initial", "unhealthy"}
	for _, state := range states {
		counts[state] = make([]float64, len(edges)-1)
	}
	for _, l := range lanes {
		for _, b := range l.bars {
			from, _ := slices.BinarySearch(edges, max(b.begin, 0))
			for i := from; i < len(edges)-1 && edges[i] < b.end; i++ {
				counts[b.state][i]++
			}
		}
	}
	bottom := c.y + crowdHeight
	scale := (crowdHeight - 4) / float64(len(lanes))
	y := func(v float64) float64 { return bottom - v*scale }
	c.text(c.left-labelGap, c.y+crowdHeight/2, others(len(lanes)), style(12, false, c.ink, draw.XRight))
	col := c.service(c.Report, lanes[0].service)
	base := make([]float64, len(edges)-1)
	for _, state := range states {
		upper, inner := slices.Clone(base), slices.Clone(base)
		for i, n := range counts[state] {
			upper[i] += n
			inner[i] = max(base[i], upper[i]-1.4/scale)
		}
		switch state {
		case "initial": // hollow
			c.band(edges, base, upper, y, col)
			c.band(edges, base, inner, y, c.paper)
		case "healthy":
			c.band(edges, base, upper, y, col)
		case "draining":
			c.band(edges, base, upper, y, mix(col, c.paper))
		case "unhealthy":
			c.band(edges, base, upper, y, c.bad)
		}
		base = upper
	}
	c.line(c.grid, 0.7, c.left, bottom, plotRight, bottom)
	c.y = bottom
}

// bar draws a target's state around a middle line.
func (c *chart) bar(state string, col color.Color, x0, x1, mid float64) {
	x1 = max(x1, x0+1)
	switch state {
	case "initial":
		c.rect(x0, mid-5, x1, mid+5, c.paper)
		c.line(col, 1.4, x0+0.7, mid-4.3, x1-0.7, mid-4.3, x1-0.7, mid+4.3, x0+0.7, mid+4.3, x0+0.7, mid-4.3)
		return
	case "unhealthy":
		col = c.bad
	case "draining":
		col = mix(col, c.paper)
	}
	c.rect(x0, mid-5, x1, mid+5, col)
}
