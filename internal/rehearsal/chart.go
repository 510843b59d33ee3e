package rehearsal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/recorder"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The chart is drawn once for PNG and SVG alike, in units that are pixels of a
// page 1200 wide. Everything is laid out from the top down.
const (
	chartWidth  = 1200
	plotLeft    = 66.0 // unless the names of services need more
	plotRight   = chartWidth - 14.0
	laneHeight  = 17.0
	labelHeight = 18.0
	// crowdHeight is that of the targets that are drawn together.
	crowdHeight = 6 * laneHeight
)

// palette holds the colours of one appearance.
type palette struct {
	paper, ink, muted, grid, step, fault color.Color
	services                             []color.Color // the monolith's first
	status                               map[byte][]color.Color
	nobody, bad, good                    color.Color
	p50, p99, worst                      color.Color
}

func hex(rgb uint32) color.Color {
	return color.NRGBA{uint8(rgb >> 16), uint8(rgb >> 8), uint8(rgb), 255}
}

func hexes(rgb ...uint32) []color.Color {
	var colors []color.Color
	for _, c := range rgb {
		colors = append(colors, hex(c))
	}
	return colors
}

var light = palette{
	paper: hex(0xffffff), ink: hex(0x1c2128), muted: hex(0x5c6570), grid: hex(0xe3e6ea), step: hex(0xf0f2f5), fault: hex(0xfdeaea),
	services: hexes(0x8b97a8, 0x2f7ed8, 0x17a08b, 0xe9a23b, 0x8a63c9, 0xc9628f, 0x6f8f2d),
	status:   map[byte][]color.Color{'2': hexes(0x7cc49b, 0xb4dfc6, 0x5aa87d), '3': hexes(0x9db7e8), '4': hexes(0xb9bfc8, 0xd3d7dd, 0x9aa2ad), '5': hexes(0xd63b3b, 0xe8736b, 0xa8202e)},
	nobody:   hex(0x5a1020), bad: hex(0xcf222e), good: hex(0x1a7f37),
	p50: hex(0x1f4e8c), p99: hex(0x7fb0e6), worst: hex(0xd5e5f7),
}

var dark = palette{
	paper: hex(0x14181d), ink: hex(0xe6eaef), muted: hex(0x9aa4b0), grid: hex(0x2a3038), step: hex(0x1e242b), fault: hex(0x3a1c20),
	services: hexes(0x77849a, 0x4a94e8, 0x2db39d, 0xd9962f, 0x9d7be0, 0xd979a3, 0x8fb043),
	status:   map[byte][]color.Color{'2': hexes(0x3f8f63, 0x2c6547, 0x5bb583), '3': hexes(0x5573a8), '4': hexes(0x59626d, 0x434a53, 0x747e8a), '5': hexes(0xf0524f, 0xf58a80, 0xc2303b)},
	nobody:   hex(0xff9aa8), bad: hex(0xff6b6b), good: hex(0x4cc26d),
	p50: hex(0x6cabf0), p99: hex(0x2f66a8), worst: hex(0x22384f),
}

// shown are the services that are drawn by themselves, and rest those that are
// drawn together, since a picture has colours for a few only. With too many, the
// ones to see are those that gave the baseline and those that harm was done to.
func (r *Report) shown() (shown, rest []string) {
	most := len(light.services)
	if len(r.Services) <= most {
		return r.Services, nil
	}
	telling := map[string]bool{}
	for _, name := range r.BaselineServices {
		telling[name] = true
	}
	for _, s := range r.Steps {
		if s.Fault != nil {
			telling[s.Fault.Service] = true
		}
	}
	for _, name := range r.Services {
		if telling[name] && len(shown) < most-1 {
			shown = append(shown, name)
		} else {
			rest = append(rest, name)
		}
	}
	return shown, rest
}

// others is the name of those that are drawn together.
func others(n int) string { return group(n) + " others" }

// service gives each service its colour, by its place in the report.
func (p palette) service(r *Report, name string) color.Color {
	shown, rest := r.shown()
	if i := slices.Index(shown, name); i >= 0 {
		return p.services[i]
	}
	if slices.Contains(rest, name) {
		return p.services[len(shown)]
	}
	switch name {
	case byBalancer:
		return p.bad
	case byNobody:
		return p.nobody
	}
	return p.muted
}

// area is a place in the chart that stands for something, in the chart's units
// from its top left.
type area struct {
	Kind                string // "phase", "deploy", "fault" or "event"
	X, Y, Width, Height float64
	Title               string
}

// chart is the timeline while it is drawn. All y count from the top; vg has
// them from the bottom.
type chart struct {
	draw.Canvas
	palette
	*Report
	left  float64 // of the plot
	y     float64 // where to go on
	areas []area
}

var fonts = font.NewCache(liberation.Collection())

func style(size float64, bold bool, c color.Color, align text.XAlignment) draw.TextStyle {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Length(size)}
	if bold {
		f.Weight = xfont.WeightBold
	}
	return draw.TextStyle{Font: f, Color: c, XAlign: align, YAlign: draw.YCenter, Handler: text.Plain{Fonts: fonts}}
}

func textWidth(s string, size float64, bold bool) float64 {
	return float64(style(size, bold, color.Black, draw.XLeft).Width(s))
}

// plotLeft is where the plot begins, after the names of the services.
func (r *Report) plotLeft() float64 {
	left := plotLeft
	lanes, rest := r.lanes()
	for _, l := range lanes {
		left = max(left, labelGap+textWidth(l.service, 12, false)+labelGap)
	}
	if len(rest) > 0 {
		left = max(left, labelGap+textWidth(others(len(rest)), 12, false)+labelGap)
	}
	return left
}

// labelGap is beside what is written left of the plot.
const labelGap = 7

// x is where a time is.
func (c *chart) x(at Seconds) float64 {
	return c.left + (plotRight-c.left)*min(max(float64(at/max(c.Duration, 0.001)), 0), 1)
}

func (c *chart) pt(x, y float64) vg.Point { return vg.Point{X: vg.Length(x), Y: vg.Length(-y)} }

func (c *chart) rect(x0, y0, x1, y1 float64, fill color.Color) {
	c.FillPolygon(fill, []vg.Point{c.pt(x0, y0), c.pt(x1, y0), c.pt(x1, y1), c.pt(x0, y1)})
}

func (c *chart) line(col color.Color, width float64, points ...float64) {
	var path []vg.Point
	for i := 0; i+1 < len(points); i += 2 {
		path = append(path, c.pt(points[i], points[i+1]))
	}
	c.StrokeLines(draw.LineStyle{Color: col, Width: vg.Length(width)}, path)
}

// text puts the middle of the text's height at y.
func (c *chart) text(x, y float64, s string, sty draw.TextStyle) { c.FillText(sty, c.pt(x, y), s) }

// place moves labels apart: each is given the first row in which it touches no
// other, and stays within the plot. It returns the left edges and the rows, -1
// for those that find no place in the rows there are.
func place(centers, widths []float64, rows int, from, to float64) (left []float64, row []int) {
	const gap = 8
	ends := make([]float64, rows)
	for i := range ends {
		ends[i] = math.Inf(-1)
	}
	order := make([]int, len(centers))
	left, row = make([]float64, len(centers)), make([]int, len(centers))
	for i := range order {
		order[i] = i
		left[i] = max(from, min(centers[i]-widths[i]/2, to-widths[i]))
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(left[a], left[b]) })
	for _, i := range order {
		row[i] = slices.IndexFunc(ends, func(end float64) bool { return left[i] >= end })
		if row[i] >= 0 {
			ends[row[i]] = left[i] + widths[i] + gap
		}
	}
	return left, row
}

func rowsUsed(rows []int) int {
	used := 0
	for _, row := range rows {
		used = max(used, row+1)
	}
	return used
}

// draw lays the timeline out. A heading makes it stand on its own. It returns
// what paints it on a canvas of the returned height, and what is where.
func (r *Report) draw(p palette, heading bool) (paint func(vg.Canvas) error, height float64, areas []area) {
	// How high it gets is known at the end, so it is drawn downwards from 0.
	front := &recorder.Canvas{}
	c := &chart{Canvas: draw.NewCanvas(front, chartWidth, 0), palette: p, Report: r, left: r.plotLeft()}
	if heading {
		c.heading()
	}
	c.y += 4
	top := c.y
	c.phases()
	c.marks()
	c.stack("Requests per second, by the service that answered", 150, c.byService())
	c.stack("Requests per second, by status", 92, c.byStatus())
	c.losses()
	c.latencies(130)
	c.targets()
	bottom := c.y
	c.time(bottom)
	height = c.y

	back := &recorder.Canvas{}
	c.Canvas.Canvas = back
	c.rect(0, 0, chartWidth, height, p.paper)
	for _, s := range r.Steps {
		fill := p.step
		if s.Kind == "fault" {
			fill = p.fault
		}
		x0, x1 := c.x(s.Begin), max(c.x(s.End), c.x(s.Begin)+1)
		c.rect(x0, top, x1, bottom, fill)
		c.areas = append(c.areas, area{s.Kind, x0, top, x1 - x0, bottom - top, fmt.Sprintf("%s, %s", s.Name, took(s.End-s.Begin))})
	}
	return func(canvas vg.Canvas) error {
		canvas.Push()
		defer canvas.Pop()
		canvas.Translate(vg.Point{Y: vg.Length(height)})
		return errors.Join(back.ReplayOn(canvas), front.ReplayOn(canvas))
	}, height, c.areas
}

func (c *chart) heading() {
	mark, word := c.good, "Passed"
	if !c.Verdict.Passed {
		mark, word = c.bad, "Failed"
	}
	w := textWidth(word, 17, true)
	c.rect(c.left, 14, c.left+w+22, 42, mark)
	c.text(c.left+11, 28, word, style(17, true, c.paper, draw.XLeft))
	t := c.Totals
	c.text(c.left+w+36, 28, fmt.Sprintf("%s: %s lost, %s answered differently", count(t.Requests, "request"), group(t.Lost-c.excused(true)), group(t.Different-c.excused(false))),
		style(17, true, c.ink, draw.XLeft))
	line := fmt.Sprintf("%s  ·  %s requests/s  ·  p50 %s, p99 %s, max %s", c.Began.Format("2006-01-02"), group(c.Rate),
		t.Latency.P50, t.Latency.P99, t.Latency.Max)
	if t.Excused > 0 {
		line += fmt.Sprintf("  ·  %s failed by faults, within their service", group(t.Excused))
	}
	c.text(c.left, 58, line, style(13, false, c.muted, draw.XLeft))
	c.y = 74
}

// phases draws the names of the phases over a bar for each.
func (c *chart) phases() {
	var centers, widths []float64
	for _, p := range c.Phases {
		centers = append(centers, (c.x(p.Begin)+c.x(p.End))/2)
		widths = append(widths, textWidth(p.Name, 13, true))
	}
	left, rows := place(centers, widths, 4, 2, chartWidth-2)
	top, bar := c.y, c.y+float64(rowsUsed(rows))*labelHeight
	for i, p := range c.Phases {
		x0, x1 := c.x(p.Begin), max(c.x(p.End), c.x(p.Begin)+1)
		if rows[i] >= 0 {
			y := bar - (float64(rows[i])+0.5)*labelHeight
			if rows[i] > 0 {
				c.line(c.muted, 0.8, centers[i], y+8, centers[i], bar)
			}
			c.text(left[i], y, p.Name, style(13, true, c.ink, draw.XLeft))
		}
		c.rect(x0, bar+1, x1, bar+7, c.ink)
		c.areas = append(c.areas, area{"phase", x0, top, x1 - x0, bar + 8 - top,
			fmt.Sprintf("%s, %s: %s", p.Name, took(p.End-p.Begin), count(p.Requests, "request"))})
	}
	for _, s := range c.Steps {
		if s.Kind != "deploy" {
			continue
		}
		x0, x1 := c.x(s.Begin), c.x(s.End)
		c.line(c.muted, 0.8, x0, bar+4, x1, bar+4)
		if label := took(s.End - s.Begin); textWidth(label, 11, false)+6 < x1-x0 {
			c.text((x0+x1)/2, bar+14, label, style(11, false, c.muted, draw.XCenter))
		}
	}
	c.y = bar + 24
}

// marks draws events and faults as labels with a line down to their time.
func (c *chart) marks() {
	type mark struct {
		at   Seconds
		text string
		col  color.Color
	}
	var marks []mark
	for _, s := range c.Steps {
		if s.Kind == "fault" {
			marks = append(marks, mark{s.Begin, s.Name, c.bad}, mark{s.End, "steady again", c.muted})
		}
		if s.Failure != "" {
			marks = append(marks, mark{s.End, "failed", c.bad})
		}
	}
	for _, e := range c.Events {
		if e.Mark && e.At >= 0 {
			label := []rune(e.Text)
			if len(label) > 48 {
				label = append(label[:47], '…')
			}
			marks = append(marks, mark{e.At, string(label), c.muted})
		}
	}
	if len(marks) == 0 {
		return
	}
	var centers, widths []float64
	for _, m := range marks {
		centers = append(centers, c.x(m.at))
		widths = append(widths, textWidth(m.text, 12, false))
	}
	left, rows := place(centers, widths, 5, c.left, plotRight)
	end := c.y + float64(rowsUsed(rows))*(labelHeight-2) + 8
	for i, m := range marks {
		y := end - 6
		if rows[i] >= 0 {
			y -= (float64(rows[i]) + 0.5) * (labelHeight - 2)
			c.text(left[i], y, m.text, style(12, false, m.col, draw.XLeft))
		}
		c.line(m.col, 1, centers[i], y+7, centers[i], end)
		c.areas = append(c.areas, area{"event", centers[i] - 4, c.y, 8, end - c.y, fmt.Sprintf("%s: %s", clock(m.at), m.text)})
	}
	c.y = end
}

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

// mix puts a colour over the paper, as if it were not quite opaque.
func mix(a, b color.Color) color.Color {
	ar, ag, ab, _ := a.RGBA()
	br, bg, bb, _ := b.RGBA()
	m := func(x, y uint32) uint8 { return uint8((x*2 + y*3) / 5 >> 8) }
	return color.NRGBA{m(ar, br), m(ag, bg), m(ab, bb), 255}
}

// time draws the axis that all panels share.
func (c *chart) time(y float64) {
	unit := Seconds(7200)
	for _, u := range []Seconds{0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600} {
		if c.Duration/u <= 14 {
			unit = u
			break
		}
	}
	for i := 0; Seconds(i)*unit <= c.Duration; i++ {
		at := Seconds(i) * unit
		c.line(c.muted, 0.8, c.x(at), y, c.x(at), y+4)
		label := clock(at)
		x := min(c.x(at), chartWidth-2-textWidth(label, 12, false)/2)
		c.text(x, y+13, label, style(12, false, c.muted, draw.XCenter))
	}
	c.y = y + 24
}

// clock writes a time since the load began.
func clock(s Seconds) string {
	if s < 60 {
		return strconv.FormatFloat(math.Round(float64(s)*10)/10, 'f', -1, 64) + " s"
	}
	return fmt.Sprintf("%d:%02d", int(s)/60, int(s)%60)
}

// took writes how long something took.
func took(s Seconds) string {
	places := 0
	switch {
	case s < 1:
		places = 2
	case s < 100:
		places = 1
	}
	return strconv.FormatFloat(float64(s), 'f', places, 64) + " s"
}

// String writes a latency with two or three digits.
func (m Millis) String() string {
	switch v := float64(m); {
	case v >= 1000:
		return strconv.FormatFloat(v/1000, 'f', decimals(v/1000), 64) + " s"
	case v == 0:
		return "0 ms"
	default:
		return strconv.FormatFloat(v, 'f', decimals(v), 64) + " ms"
	}
}

// power writes a power of ten milliseconds.
func power(ms float64) string {
	if ms >= 1000 {
		return strconv.FormatFloat(math.Round(ms/1000), 'f', 0, 64) + " s"
	}
	return strconv.FormatFloat(ms, 'g', 3, 64) + " ms"
}

func decimals(v float64) int {
	switch {
	case v == math.Trunc(v), v >= 100:
		return 0
	case v >= 10:
		return 1
	}
	return 2
}

// WriteChart writes the timeline as a PNG, 2400 pixels wide, which is sharp at
// 1200.
func (r *Report) WriteChart(w io.Writer) error {
	paint, height, _ := r.draw(light, true)
	canvas := vgimg.NewWith(vgimg.UseWH(chartWidth, vg.Length(height)), vgimg.UseDPI(144))
	if err := paint(canvas); err != nil {
		return err
	}
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
	return err
}

// svg draws the timeline for the page, which brings the heading itself.
func (r *Report) svg(p palette) (svg string, height float64, areas []area, err error) {
	paint, height, areas := r.draw(p, false)
	canvas := vgsvg.NewWith(vgsvg.UseWH(chartWidth, vg.Length(height)))
	if err := paint(canvas); err != nil {
		return "", 0, nil, err
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return "", 0, nil, err
	}
	// Within a page there is no XML declaration.
	_, rest, _ := strings.Cut(b.String(), "<svg ")
	return "<svg " + rest, height, areas, nil
}
