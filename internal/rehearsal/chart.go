package rehearsal

import (
	"cmp"
	"fmt"
	"html"
	"image/color"
	"io"
	"math"
	"regexp"
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

// The PNG and the SVG share one drawing. Its unit is a pixel of a page 1200 wide.
const (
	chartWidth  = 1200
	plotLeft    = 66.0 // unless the names of services need more
	plotRight   = chartWidth - 14.0
	labelGap    = 7 // on both sides of a name left of the plot
	laneHeight  = 17.0
	crowdHeight = 6 * laneHeight // of the targets drawn together
	labelHeight = 18.0
	axisHeight  = 24.0
)

// chart is the timeline while it is drawn. Its y counts from the top, and vg's from
// the bottom.
type chart struct {
	draw.Canvas
	palette
	*Report
	height float64
	left   float64 // of the plot
	y      float64 // where the next part begins
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
	if len(rest) > 0 {
		lanes = append(lanes, &lane{service: others(len(rest))})
	}
	for _, l := range lanes {
		left = max(left, labelGap+textWidth(brief(l.service), 12, false)+labelGap)
	}
	return left
}

// x is the place of a time.
func (c *chart) x(at Seconds) float64 {
	return c.left + (plotRight-c.left)*min(max(float64(at/max(c.Duration, 0.001)), 0), 1)
}

func (c *chart) pt(x, y float64) vg.Point {
	return vg.Point{X: vg.Length(x), Y: vg.Length(c.height - y)}
}

func (c *chart) rect(x0, y0, x1, y1 float64, fill color.Color) {
	c.FillPolygon(fill, []vg.Point{c.pt(x0, y0), c.pt(x1, y0), c.pt(x1, y1), c.pt(x0, y1)})
}

func (c *chart) line(col color.Color, width float64, points ...float64) {
	var line []vg.Point
	for xy := range slices.Chunk(points, 2) {
		line = append(line, c.pt(xy[0], xy[1]))
	}
	c.StrokeLines(draw.LineStyle{Color: col, Width: vg.Length(width)}, line)
}

// text puts the middle of the text's height at y.
func (c *chart) text(x, y float64, s string, sty draw.TextStyle) { c.FillText(sty, c.pt(x, y), s) }

// draw draws the timeline and returns its height. A first drawing with height 0
// finds the height.
func (r *Report) draw(canvas vg.Canvas, height float64, p palette, heading bool) float64 {
	c := &chart{Canvas: draw.NewCanvas(canvas, chartWidth, 0), palette: p, Report: r, height: height, left: r.plotLeft()}
	c.rect(0, 0, chartWidth, height, p.paper)
	if heading {
		c.heading()
	}
	c.y += 4
	for _, s := range r.Steps {
		fill := p.step
		if s.Kind == harmed {
			fill = p.fault
		}
		c.rect(c.x(s.Begin), c.y, max(c.x(s.End), c.x(s.Begin)+1), height-axisHeight, fill)
	}
	c.phases()
	c.marks()
	c.stack("Requests per second, by the service that answered", 150, c.byService())
	c.stack("Requests per second, by status", 92, c.byStatus())
	c.losses()
	c.latencies(130)
	c.lagging(92)
	c.targets()
	c.time()
	return c.y
}

// WriteChart writes the timeline as a PNG. Its 2400 pixels are sharp at a width of 1200.
func (r *Report) WriteChart(w io.Writer) error {
	height := r.draw(&recorder.Canvas{}, 0, light, true)
	canvas := vgimg.NewWith(vgimg.UseWH(chartWidth, vg.Length(height)), vgimg.UseDPI(144))
	r.draw(canvas, height, light, true)
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
	return err
}

// svg draws the timeline for the page, which has a heading of its own.
func (r *Report) svg(p palette) (svg string, height float64) {
	height = r.draw(&recorder.Canvas{}, 0, p, false)
	canvas := vgsvg.NewWith(vgsvg.UseWH(chartWidth, vg.Length(height)))
	r.draw(canvas, height, p, false)
	var b strings.Builder
	_, _ = canvas.WriteTo(&b) // a builder takes everything
	// A page has no XML declaration inside.
	_, rest, _ := strings.Cut(b.String(), "<svg ")
	return fitted("<svg " + rest), height
}

// svgText is a text as vgsvg writes it: attributes, with the size, and the text itself.
var svgText = regexp.MustCompile(`(?s)<text( [^>]*font-size:([0-9.]+)px[^>]*)>([^<]+)</text>`)

// fitted gives every text the width that it was drawn with. So labels and legends keep
// their places when a browser has another font.
func fitted(svg string) string {
	return svgText.ReplaceAllStringFunc(svg, func(text string) string {
		m := svgText.FindStringSubmatch(text)
		size, _ := strconv.ParseFloat(m[2], 64)
		width := textWidth(html.UnescapeString(m[3]), size, strings.Contains(m[1], "bold"))
		return fmt.Sprintf(`<text textLength="%.1f" lengthAdjust="spacingAndGlyphs"%s>%s</text>`, width, m[1], m[3])
	})
}

func (c *chart) heading() {
	word := capital(c.Verdict.Word())
	mark := map[string]color.Color{"Passed": c.good, "Passed with gaps": c.doubt, "Inconclusive": c.doubt, "Failed": c.bad}[word]
	w := textWidth(word, 17, true)
	c.rect(c.left, 14, c.left+w+22, 42, mark)
	c.text(c.left+11, 28, word, style(17, true, c.paper, draw.XLeft))
	t := c.Totals
	lost, different := c.unexcused()
	if c.Verdict.Outcome == Inconclusive {
		lost, different = t.Lost, t.Different
	}
	c.text(c.left+w+36, 28, fmt.Sprintf("%s: %s lost, %s answered differently", count(t.Requests, "request"), group(lost), group(different)),
		style(17, true, c.ink, draw.XLeft))
	line := fmt.Sprintf("%s  ·  %s requests/s  ·  p50 %s, p99 %s, max %s", c.Began.Format("2006-01-02"), group(c.Rate),
		t.Latency.Median(), t.Latency.Tail(), t.Latency.Max)
	if t.Excused > 0 {
		line += fmt.Sprintf("  ·  %s failed by faults, within their service", group(t.Excused))
	}
	c.text(c.left, 58, line, style(13, false, c.muted, draw.XLeft))
	c.y = 74
}

// brief leaves out the middle of a text for which the chart has no room.
func brief(text string) string {
	if r := []rune(text); len(r) > 48 {
		return string(r[:30]) + "…" + string(r[len(r)-17:])
	}
	return text
}

// label is a text over a place in the chart.
type label struct {
	text      string
	col       color.Color
	at, width float64 // the middle, until the label is moved
	left      float64
	row       int // from 0, the lowest; -1 without a place
}

// place moves labels apart and keeps them between two edges. Each label gets the
// lowest row in which it touches no other. It returns the number of rows used.
func place(labels []label, rows int, from, to float64) (used int) {
	const gap = 8
	ends := slices.Repeat([]float64{math.Inf(-1)}, rows)
	order := make([]*label, len(labels))
	for i := range labels {
		order[i] = &labels[i]
		order[i].left = max(from, min(order[i].at-order[i].width/2, to-order[i].width))
	}
	slices.SortStableFunc(order, func(a, b *label) int { return cmp.Compare(a.left, b.left) })
	for _, l := range order {
		l.row = slices.IndexFunc(ends, func(end float64) bool { return l.left >= end })
		if l.row >= 0 {
			ends[l.row] = l.left + l.width + gap
		}
		used = max(used, l.row+1)
	}
	return used
}

// labels are the names of the phases.
func (c *chart) labels() (names []label) {
	for _, p := range c.Phases {
		name := brief(p.Label)
		names = append(names, label{text: name, at: (c.x(p.Begin) + c.x(p.End)) / 2, width: textWidth(name, 13, true)})
	}
	return names
}

// phases draws the names of the phases over a bar for each.
func (c *chart) phases() {
	names := c.labels()
	bar := c.y + float64(place(names, 4, 2, chartWidth-2))*labelHeight
	for i, p := range c.Phases {
		if l := names[i]; l.row >= 0 {
			y := bar - (float64(l.row)+0.5)*labelHeight
			if l.row > 0 {
				c.line(c.muted, 0.8, l.at, y+8, l.at, bar)
			}
			c.text(l.left, y, l.text, style(13, true, c.ink, draw.XLeft))
		}
		c.rect(c.x(p.Begin), bar+1, max(c.x(p.End), c.x(p.Begin)+1), bar+7, c.ink)
	}
	for _, s := range c.Steps {
		if s.Kind != deploying {
			continue
		}
		x0, x1 := c.x(s.Begin), c.x(s.End)
		c.line(c.muted, 0.8, x0, bar+4, x1, bar+4)
		if text := took(s.Duration()); textWidth(text, 11, false)+6 < x1-x0 {
			c.text((x0+x1)/2, bar+14, text, style(11, false, c.muted, draw.XCenter))
		}
	}
	c.y = bar + 24
}

// marks draws events and faults as labels with a line down to their time.
func (c *chart) marks() {
	var marks []label
	mark := func(at Seconds, text string, col color.Color) {
		text = brief(text)
		marks = append(marks, label{text: text, col: col, at: c.x(at), width: textWidth(text, 12, false)})
	}
	for _, s := range c.Steps {
		if s.Kind == harmed {
			mark(s.Begin, s.Name, c.bad)
			mark(s.End, "steady again", c.muted)
		}
		if s.Failure != "" {
			mark(s.End, "failed", c.bad)
		}
	}
	for _, e := range c.Events {
		if e.Mark && e.At >= 0 {
			mark(e.At, e.Text, c.muted)
		}
	}
	if len(marks) == 0 {
		return
	}
	c.y += float64(place(marks, 5, c.left, plotRight))*(labelHeight-2) + 8
	for _, m := range marks {
		y := c.y - 6
		if m.row >= 0 {
			y -= (float64(m.row) + 0.5) * (labelHeight - 2)
			c.text(m.left, y, m.text, style(12, false, m.col, draw.XLeft))
		}
		c.line(m.col, 1, m.at, y+7, m.at, c.y)
	}
}

// time draws the axis of all panels.
func (c *chart) time() {
	unit := Seconds(7200)
	for _, u := range []Seconds{0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600} {
		if c.Duration/u <= 14 {
			unit = u
			break
		}
	}
	for i := 0; Seconds(i)*unit <= c.Duration; i++ {
		at := Seconds(i) * unit
		c.line(c.muted, 0.8, c.x(at), c.y, c.x(at), c.y+4)
		x := min(c.x(at), chartWidth-2-textWidth(clock(at), 12, false)/2)
		c.text(x, c.y+13, clock(at), style(12, false, c.muted, draw.XCenter))
	}
	c.y += axisHeight
}
