package rehearsal

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cutover/internal/plain"
)

// Watcher watches what a deployment does beside its answers, such as the events that it publishes.
type Watcher interface {
	// Begin begins to watch, until the context ends. It is called once, when the first phase is up and before anything is
	// asked or written.
	Begin(ctx context.Context) error
	// End waits until the deployment is at rest, and says what is wrong. It is called once, after the last answer. The last phase is
	// still up.
	End(ctx context.Context) (Result, []Lag)
}

// Lag says over the time of the load how far something is behind.
type Lag struct {
	// Name is what is behind, such as a queue.
	Name   string   `json:"name"`
	Points []Behind `json:"points"`
}

// Behind is how far something is behind at one moment.
type Behind struct {
	Time time.Time `json:"-"`
	// At is set by the report.
	At Seconds `json:"at_s"`
	// Behind is how old the oldest is that waits, and Waiting how many wait.
	Behind  Seconds `json:"behind_s"`
	Waiting int     `json:"waiting"`
}

// beginWatching has the watchers begin.
func (r *Rehearsal) beginWatching(ctx context.Context) error {
	for _, w := range r.Watchers {
		if err := w.Begin(ctx); err != nil {
			return fmt.Errorf("beginning to watch: %w", err)
		}
	}
	return nil
}

// endWatching asks the watchers what they have found.
func (r *Rehearsal) endWatching(ctx context.Context) {
	for _, w := range r.Watchers {
		if ctx.Err() != nil {
			return
		}
		result, lags := w.End(ctx)
		r.beside = append(r.beside, result)
		r.lags = append(r.lags, lags...)
	}
}

// lagsDuring are the lags during the load.
func (r *Rehearsal) lagsDuring() (all []Lag) {
	for _, lag := range r.lags {
		one := Lag{Name: plain.Line(lag.Name)}
		for _, p := range lag.Points {
			if p.At = seconds(p.Time.Sub(r.began)); p.At >= 0 && p.At <= seconds(r.end) {
				one.Points = append(one.Points, p)
			}
		}
		all = append(all, one)
	}
	return all
}

// lagging draws how far each is behind, in seconds.
func (c *chart) lagging(height float64) {
	if len(c.Lags) == 0 {
		return
	}
	var legend []series
	highest := 1.0
	for i, lag := range c.Lags {
		legend = append(legend, series{name: brief(lag.Name), col: c.palette.services[i%len(c.palette.services)]})
		for _, p := range lag.Points {
			highest = max(highest, 1.06*float64(p.Behind))
		}
	}
	c.title("Seconds behind, by what waits", legend)
	c.y += height
	y := func(v float64) float64 { return c.y - height*v/highest }
	unit := round125(highest / 4.5)
	for n := 0.0; n*unit <= highest; n++ {
		c.tick(y(n*unit), fmt.Sprintf("%g", n*unit))
	}
	for i, lag := range slices.Backward(c.Lags) {
		var line []float64
		for _, p := range lag.Points {
			line = append(line, c.x(p.At), y(float64(p.Behind)))
		}
		if len(line) > 2 {
			c.line(legend[i].col, 1.6, line...)
		}
	}
	c.floor()
}
