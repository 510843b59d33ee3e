package rehearsal

import (
	"image/color"
	"maps"
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// series is one layer of a stack: a number of requests for each slice.
type series struct {
	name   string
	col    color.Color
	counts []float64
}

// each takes a figure from every slice.
func (r *Report) each(figure func(Slice) float64) []float64 {
	var all []float64
	for _, s := range r.Slices {
		all = append(all, figure(s))
	}
	return all
}

func (c *chart) byService() []series {
	var all []series
	add := func(label string, names ...string) {
		all = append(all, series{label, c.service(names[0]), c.each(func(s Slice) float64 {
			n := 0
			for _, name := range names {
				n += s.ByService[name]
			}
			return float64(n)
		})})
	}
	shown, rest := c.shown()
	for _, name := range shown {
		add(brief(name), name)
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
	used := map[byte]int{}
	var all []series
	for _, name := range slices.Sorted(maps.Keys(c.Totals.ByStatus)) { // digits come before noStatus
		s := series{name, c.muted, c.each(func(s Slice) float64 { return float64(s.ByStatus[name]) })}
		class := name[0]
		if name == noStatus {
			s.name, s.col = "no answer", c.nobody
		} else if shades := c.status[class]; len(shades) > 0 {
			s.col = shades[used[class]%len(shades)]
			used[class]++
		}
		all = append(all, s)
	}
	return all
}

// title writes a panel's title, and the legend beside it. It returns the place behind
// them.
func (c *chart) title(title string, legend []series) (x float64) {
	c.y += 18
	c.text(c.left, c.y, title, style(13, true, c.ink, draw.XLeft))
	x = c.left + textWidth(title, 13, true) + 22
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
	return x
}

// tick draws a line of the grid with its value.
func (c *chart) tick(y float64, value string) {
	c.line(c.grid, 0.7, c.left, y, plotRight, y)
	c.text(c.left-labelGap, y, value, style(12, false, c.muted, draw.XRight))
}

// floor ends a panel.
func (c *chart) floor() {
	c.line(c.muted, 0.8, c.left, c.y, plotRight, c.y)
	c.y += 12
}

// stack draws layers over one another, in steps as wide as a slice.
func (c *chart) stack(title string, height float64, layers []series) {
	c.title(title, layers)
	c.y += height
	// The last slice may be shorter.
	width := func(s Slice) Seconds { return min(c.SliceWidth, max(c.Duration-s.Begin, 0.001)) }
	widths := c.each(func(s Slice) float64 { return float64(width(s)) })
	highest := 1.06 * slices.Max(append(c.each(func(s Slice) float64 {
		if width(s) <= c.SliceWidth/2 { // too short to tell a rate
			return 0
		}
		return float64(s.Requests) / float64(width(s))
	}), float64(c.Rate)))
	y := func(v float64) float64 { return c.y - height*min(v/highest, 1) }
	base := make([]float64, len(c.Slices))
	for _, layer := range layers {
		upper := slices.Clone(base)
		for i := range upper {
			upper[i] += layer.counts[i] / widths[i]
		}
		c.band(base, upper, y, layer.col)
		base = upper
	}
	unit := round125(highest / 4.5)
	for v := 0.0; v <= highest; v += unit {
		c.tick(y(v), group(int(v)))
	}
	c.floor()
}

// round125 is the least of 1, 2, 5, 10, 20, … and 0.5, 0.2, … that is not below a number.
func round125(least float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(least)))
	for _, n := range []float64{1, 2, 5} {
		if n*unit >= least {
			return n * unit
		}
	}
	return 10 * unit
}

// band fills the space between two stepped lines, which have a level for each slice.
func (c *chart) band(lower, upper []float64, y func(float64) float64, col color.Color) {
	stepped := func(levels []float64) (line []vg.Point) {
		for i, level := range levels {
			from := c.pt(c.x(Seconds(i)*c.SliceWidth), y(level))
			to := c.pt(c.x(Seconds(i+1)*c.SliceWidth), y(level))
			if n := len(line); n > 0 && line[n-1].Y == to.Y {
				line[n-1] = to
			} else {
				line = append(line, from, to)
			}
		}
		return line
	}
	down := stepped(lower)
	slices.Reverse(down)
	c.FillPolygon(col, append(stepped(upper), down...))
}

// losses draws how many requests failed in each slice, and their number over
// each burst. A fault's failures are paler.
func (c *chart) losses() {
	failed := c.each(func(s Slice) float64 { return float64(s.Lost + s.Different) })
	excused := c.each(func(s Slice) float64 { return float64(s.Excused) })
	behind := c.title("Lost or answered differently", nil)
	most := slices.Max(append(failed, 0))
	if most == 0 {
		c.text(behind, c.y-12, "none", style(13, false, c.good, draw.XLeft))
		c.y += 4
		return
	}
	c.y += 44
	y := func(v float64) float64 {
		if v == 0 {
			return c.y
		}
		return c.y - max(2, 26*v/most)
	}
	none := make([]float64, len(failed))
	c.band(none, failed, y, c.bad)
	c.band(none, excused, y, mix(c.bad, c.paper))

	var bursts []label
	for i := 0; i < len(failed); i++ {
		if failed[i] == 0 {
			continue
		}
		// A burst goes on until nothing failed for a while.
		last, sum, within := i, 0.0, 0.0
		for k := i; k < len(failed) && k <= last+6; k++ {
			if failed[k] > 0 {
				last, sum, within = k, sum+failed[k], within+excused[k]
			}
		}
		b := label{text: group(int(sum)), col: c.bad, at: (c.x(c.Slices[i].Begin) + c.x(c.Slices[last].Begin+c.SliceWidth)) / 2}
		if within == sum {
			b.text, b.col = b.text+" by the fault", c.muted
		}
		b.width = textWidth(b.text, 12, true)
		bursts = append(bursts, b)
		i = last
	}
	place(bursts, 1, c.left, plotRight)
	for _, b := range bursts {
		if b.row >= 0 {
			c.text(b.left, c.y-35, b.text, style(12, true, b.col, draw.XLeft))
		}
	}
	c.floor()
}

// latencies draws p50, p99 and max on a logarithmic scale.
func (c *chart) latencies(height float64) {
	layers := []series{
		{"up to p50", c.p50, c.each(func(s Slice) float64 { return float64(s.Latency.P50) })},
		{"p99", c.p99, c.each(func(s Slice) float64 {
			if !s.Latency.known(99) {
				return float64(s.Latency.P50)
			}
			return float64(s.Latency.P99)
		})},
		{"max", c.worst, c.each(func(s Slice) float64 { return float64(s.Latency.Max) })},
	}
	c.title("Latency", layers)
	c.y += height
	highest := slices.Max(append(layers[2].counts, 1))
	lowest := highest / 10
	for _, v := range layers[0].counts {
		if v > 0 {
			lowest = min(lowest, max(v, 0.01))
		}
	}
	lowest = math.Pow(10, math.Floor(math.Log10(lowest)))
	highest *= 1.2 // some room above
	y := func(v float64) float64 {
		return c.y - height*math.Log10(max(v, lowest)/lowest)/math.Log10(highest/lowest)
	}
	base := make([]float64, len(c.Slices))
	for _, layer := range layers {
		c.band(base, layer.counts, y, layer.col)
		base = layer.counts
	}
	for v := lowest; v <= highest; v *= 10 {
		c.tick(y(v), power(v))
	}
	c.floor()
}

// sliceWidth divides the load's time into at most 300 slices of a round width,
// with at least 20 requests each.
func sliceWidth(whole time.Duration, rate int) time.Duration {
	least := max(whole/300, 20*time.Second/time.Duration(rate), 10*time.Millisecond)
	return time.Duration(math.Round(round125(least.Seconds())*1000)) * time.Millisecond
}
