package stacks

import (
	"maps"
	"slices"
)

// SynthWith is what a synthesis of the tests shares with [Synth].
var SynthWith = synth

// NewLogGroup makes log groups of every retention.
var NewLogGroup = newLogGroup

// RetentionDays are the periods that a template can have, in order.
func RetentionDays() []int { return slices.Sorted(maps.Keys(retention)) }

// Add makes the alarms' names more by these, as many services would.
func (a *Alarms) Add(names ...string) { *a.names = append(*a.names, names...) }
