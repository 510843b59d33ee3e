package workload

import (
	"strconv"
	"strings"

	"cutover/internal/rehearsal/step"
	"cutover/internal/rehearsal/stream"
)

// streamEntry is a stream of a routes file.
type streamEntry struct {
	entry
	Type        string      `json:"type"`
	Begin       []stepEntry `json:"begin"`
	Send        values      `json:"send"`
	ID          string      `json:"id"`
	IgnoreIDs   bool        `json:"ignoreIds"`
	Connections int         `json:"connections"`
	Uncut       bool        `json:"uncut"`
	MayEnd      bool        `json:"mayEnd"`
}

// streams adds the streams of a routes file.
func (b *Builder) streams(d *document) {
	for i := range d.count("streams") {
		at := []string{"streams", strconv.Itoa(i)}
		var e streamEntry
		if !d.decode(&e, at...) {
			continue
		}
		config := stream.Config{
			WebSocket: e.Type == "websocket", Open: b.step(d, stepEntry{entry: e.entry}, at), Begin: b.steps(d, e.Begin, below(at, "begin")),
			Send: e.Send, ID: d.path(e.ID, below(at, "id")), IgnoreIDs: e.IgnoreIDs, Connections: e.Connections, Uncut: e.Uncut, MayEnd: e.MayEnd,
		}
		config.Check(d.refuseBelow(at))
		switch writes := config.Writes(); {
		case len(d.errs) > 0:
		case len(writes) > 0 && !b.Writes:
			b.Gap("stream %s: %s may change something, so the stream is watched with --writes only", &config.Open.Request, strings.Join(writes, ", "))
			b.unsentSteps(append(config.Begin, config.Open))
		default:
			b.workload.Streams = append(b.workload.Streams, stream.New(config))
		}
	}
}

// unsentSteps adds the requests of steps that are known and not sent.
func (b *Builder) unsentSteps(steps []step.Step) {
	for i := range steps {
		b.workload.Unsent = append(b.workload.Unsent, steps[i].Route())
	}
}
