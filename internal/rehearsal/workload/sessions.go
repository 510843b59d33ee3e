package workload

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"cutover/internal/rehearsal/session"
	"cutover/internal/rehearsal/step"
)

// sessionEntry is a session of a routes file.
type sessionEntry struct {
	Name      string                       `json:"name"`
	Weight    int                          `json:"weight"`
	Users     int                          `json:"users"`
	Rounds    int                          `json:"rounds"`
	Expires   string                       `json:"expires"`
	Variables []map[string]json.RawMessage `json:"variables"`
	Begin     []stepEntry                  `json:"begin"`
	Steps     []stepEntry                  `json:"steps"`
	End       []stepEntry                  `json:"end"`
}

// sessions adds the sessions of a routes file.
func (b *Builder) sessions(d *document) {
	for i := range d.count("sessions") {
		at := []string{"sessions", strconv.Itoa(i)}
		var e sessionEntry
		if !d.decode(&e, at...) {
			continue
		}
		config := b.session(d, e, at)
		config.Check(d.refuseBelow(at))
		switch writes := config.Writes(); {
		case len(d.errs) > 0:
		case len(writes) > 0 && !b.Writes:
			b.Gap("session %s: %s may change something, so the session is sent with --writes only", e.Name, strings.Join(writes, ", "))
			b.unsentSteps(slices.Concat(config.Begin, config.Steps, config.End))
		default:
			b.AddSource(session.New(config))
		}
	}
}

// session reads a session.
func (b *Builder) session(d *document, e sessionEntry, at []string) session.Config {
	config := session.Config{
		Name: e.Name, Weight: e.Weight, Users: e.Users, Rounds: e.Rounds, Expires: d.duration(e.Expires, below(at, "expires")),
		Begin: b.steps(d, e.Begin, below(at, "begin")), Steps: b.steps(d, e.Steps, below(at, "steps")),
		End: b.steps(d, e.End, below(at, "end")),
	}
	for i, values := range e.Variables {
		row := step.Variables{}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if !step.IsName(name) {
				d.refuseAt(below(at, "variables", strconv.Itoa(i), name), notAName(name))
			}
			decoder := json.NewDecoder(bytes.NewReader(values[name]))
			decoder.UseNumber() // as the file has it
			var value any
			_ = decoder.Decode(&value) // which the schema has read
			row[name] = value
		}
		config.Rows = append(config.Rows, row)
	}
	return config
}

// steps reads requests of a virtual user.
func (b *Builder) steps(d *document, entries []stepEntry, at []string) (steps []step.Step) {
	for i, e := range entries {
		steps = append(steps, b.step(d, e, below(at, strconv.Itoa(i))))
	}
	return steps
}

// duration reads a duration, as 30s. Nothing is 0.
func (d *document) duration(text string, at []string) time.Duration {
	if text == "" {
		return 0
	}
	duration, err := time.ParseDuration(text)
	if err != nil || duration <= 0 {
		d.refuseAt(at, strconv.Quote(text)+": must be a duration above 0, as 30s or 15m")
	}
	return duration
}
