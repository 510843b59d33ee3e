package rehearsal

import (
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// series is one layer of a stack: a number of requests for each slice.
type series struct {
	name   string
	col    color.Color
	counts []int
}

func (c *chart) byService() []series {
	var all []series
	add := func(label string, names ...string) {
		s := series{name: label, col: c.service(c.Report, names[0])}
		for _, slice := range c.Slices {
			n := 0
			for _, name := range names {
				n += slice.ByService[name]
			}
			s.counts = append(s.counts, n)
		}
		all = append(all, s)
	}
	shown, rest := c.shown()
	for _, name := range shown {
		add(name, name)
	}
	if len(rest) > 0 {
		add(others(len(rest)), rest...)
	}
	for _, other := range []string{byUnknown, byBalancer, byNobody} {
		if c.Totals.ByService[other] > 0 {
			add(other, other)
		}
	}
	return all
}

func (c *chart) byStatus() []series {
	var names []string
	for name := range c.Totals.ByStatus {
		names = append(names, name)
	}
	slices.Sort(names) // digits come before noStatus
	used := map[byte]int{}
	var all []series
	for _, name := range names {
		s := series{name: name, col: c.nobody}
		if name == noStatus {
			s.name = "no answer"
		} else {
			shades := c.status[name[0]]
			if len(shades) == 0 {
				shades = []color.Color{c.muted}
			}
			s.col = shades[used[name[0]]%len(shades)]
			used[name[0]]++
		}
		for _, slice := range c.Slices {
			s.counts = append(s.counts, slice.ByStatus[name])
		}
		all = append(all, s)
	}
	return all
}

// title writes a panel's title and its legend behind it.
func (c *chart) title(title string, legend []series) {
	c.y += 18
	c.text(c.left, c.y, title, style(13, true, c.ink, draw.XLeft))
	x := c.left + textWidth(title, 13, true) + 22
	for _, s := range legend {
		width := 16 + textWidth(s.name, 13, false)
		if x+width > plotRight {
			x, c.y = c.left, c.y+labelHeight
		}
		c.rect(x, c.y-5, x+11, c.y+5, s.col)
		c.text(x+16, c.y, s.name, style(13, false, c.muted, draw.XLeft))
		x += width + 18
	}
	c.y += 12
}

// width of slice i, which the last may not fill.
func (c *chart) width(i int) Seconds {
	return min(c.SliceWidth, max(c.Duration-c.Slices[i].Begin, 0.001))
}

// stack draws layers over one another, in steps as wide as a slice.
func (c *chart) stack(title string, height float64, layers []series) {
	c.title(title, layers)
	bottom := c.y + height
	highest := float64(c.Rate)
	for i, s := range c.Slices {
		// A last slice that is cut short says little about a rate.
		if c.width(i) > c.SliceWidth/2 {
			highest = max(highest, float64(s.Requests)/float64(c.width(i)))
		}
	}
	highest *= 1.06
	y := func(v float64) float64 { return bottom - height*min(v/highest, 1) }
	base := make([]float64, len(c.Slices))
	for _, layer := range layers {
		upper := make([]float64, len(base))
		for i := range base {
			upper[i] = base[i] + float64(layer.counts[i])/float64(c.width(i))
		}
		c.band(c.edges(), base, upper, y, layer.col)
		base = upper
	}
	for _, v := range ticks(highest) {
		c.line(c.grid, 0.7, c.left, y(v), plotRight, y(v))
		c.text(c.left-labelGap, y(v), group(int(v)), style(12, false, c.muted, draw.XRight))
	}
	c.line(c.muted, 0.8, c.left, bottom, plotRight, bottom)
	c.y = bottom + 12
}

// edges are the times between which the slices lie.
func (c *chart) edges() []Seconds {
	var all []Seconds
	for _, slice := range c.Slices {
		all = append(all, slice.Begin)
	}
	if n := len(all); n > 0 {
		all = append(all, all[n-1]+c.SliceWidth)
	}
	return all
}

// band fills what lies between two stepped lines, where there is anything. They
// have a level from each edge to the next.
func (c *chart) band(edges []Seconds, lower, upper []float64, y func(float64) float64, col color.Color) {
	n := len(lower)
	for i := 0; i < n; {
		if upper[i] <= lower[i] {
			i++
			continue
		}
		j := i
		var up, down []vg.Point
		for ; j < n && upper[j] > lower[j]; j++ {
			x0, x1 := c.x(edges[j]), c.x(edges[j+1])
			up = step(up, c.pt(x0, y(upper[j])), c.pt(x1, y(upper[j])))
			down = step(down, c.pt(x0, y(lower[j])), c.pt(x1, y(lower[j])))
		}
		slices.Reverse(down)
		c.FillPolygon(col, append(up, down...))
		i = j
	}
}

// step adds a level to a stepped line; one that goes on level is made longer.
func step(line []vg.Point, from, to vg.Point) []vg.Point {
	if n := len(line); n > 0 && line[n-1].Y == to.Y {
		line[n-1] = to
		return line
	}
	return append(line, from, to)
}

// ticks are round numbers, the last below the highest.
func ticks(highest float64) []float64 {
	unit := math.Pow(10, math.Floor(math.Log10(highest/2)))
	for _, n := range []float64{1, 2, 5, 10} {
		if highest/(n*unit) < 4.5 {
			unit *= n
			break
		}
	}
	var all []float64
	for v := 0.0; v <= highest; v += unit {
		all = append(all, v)
	}
	return all
}

// losses draws how many requests failed in each slice, and their number over
// each burst. What a fault explains is paler.
func (c *chart) losses() {
	n := len(c.Slices)
	none, failed, excused := make([]float64, n), make([]float64, n), make([]float64, n)
	most := 0.0
	for i, s := range c.Slices {
		failed[i], excused[i] = float64(s.Lost+s.Different), float64(s.Excused)
		most = max(most, failed[i])
	}
	const title = "Lost or answered differently"
	c.title(title, nil)
	if most == 0 {
		c.text(c.left+textWidth(title, 13, true)+22, c.y-12, "none", style(13, false, c.good, draw.XLeft))
		c.y += 4
		return
	}
	bottom := c.y + 44
	y := func(v float64) float64 {
		if v == 0 {
			return bottom
		}
		return bottom - max(2, 26*v/most)
	}
	c.band(c.edges(), none, failed, y, c.bad)
	c.band(c.edges(), none, excused, y, mix(c.bad, c.paper))
	c.line(c.muted, 0.8, c.left, bottom, plotRight, bottom)

	type burst struct {
		text string
		col  color.Color
	}
	var bursts []burst
	var centers, widths []float64
	for i := 0; i < n; i++ {
		if failed[i] == 0 {
			continue
		}
		// A burst goes on until nothing failed for a while.
		last, sum, within := i, 0.0, 0.0
		for k := i; k < n && k <= last+6; k++ {
			if failed[k] > 0 {
				last, sum, within = k, sum+failed[k], within+excused[k]
			}
		}
		b := burst{group(int(sum)), c.bad}
		if within == sum {
			b = burst{b.text + " by the fault", c.muted}
		}
		bursts = append(bursts, b)
		centers = append(centers, (c.x(c.Slices[i].Begin)+c.x(c.Slices[last].Begin+c.SliceWidth))/2)
		widths = append(widths, textWidth(b.text, 12, true))
		i = last
	}
	left, rows := place(centers, widths, 1, c.left, plotRight)
	for i, b := range bursts {
		if rows[i] >= 0 {
			c.text(left[i], bottom-35, b.text, style(12, true, b.col, draw.XLeft))
		}
	}
	c.y = bottom + 12
}

// latencies draws p50, p99 and max on a logarithmic scale.
func (c *chart) latencies(height float64) {
	c.title("Latency", []series{{"up to p50", c.p50, nil}, {"p99", c.p99, nil}, {"max", c.worst, nil}})
	lowest, highest := math.Inf(1), 1.0
	n := len(c.Slices)
	floor, p50, p99, worst := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	for i, s := range c.Slices {
		p50[i], p99[i], worst[i] = float64(s.Latency.P50), float64(s.Latency.P99), float64(s.Latency.Max)
		highest = max(highest, worst[i])
		if p50[i] > 0 {
			lowest = min(lowest, p50[i])
		}
	}
	lowest = math.Pow(10, math.Floor(math.Log10(min(max(lowest, 0.01), highest/10))))
	highest = math.Pow(10, math.Log10(highest)+0.08)
	bottom := c.y + height
	y := func(v float64) float64 {
		return bottom - height*min(max(math.Log10(max(v, lowest)/lowest)/math.Log10(highest/lowest), 0), 1)
	}
	c.band(c.edges(), p99, worst, y, c.worst)
	c.band(c.edges(), p50, p99, y, c.p99)
	c.band(c.edges(), floor, p50, y, c.p50)
	for v := lowest; v <= highest; v *= 10 {
		c.line(c.grid, 0.7, c.left, y(v), plotRight, y(v))
		c.text(c.left-labelGap, y(v), power(v), style(12, false, c.muted, draw.XRight))
	}
	c.line(c.muted, 0.8, c.left, bottom, plotRight, bottom)
	c.y = bottom + 12
}
