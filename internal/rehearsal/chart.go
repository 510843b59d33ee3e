package rehearsal

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"io"
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
