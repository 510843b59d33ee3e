package stacks

import (
	"maps"
	"slices"

	"github.com/aws/constructs-go/constructs/v10"

	"cutover/config"
)

// SynthWith is what a synthesis of the tests shares with [Synth].
var SynthWith = synth

// NewLogGroup makes log groups of every retention.
var NewLogGroup = newLogGroup

// RetentionDays are the periods that a template can have, in order.
func RetentionDays() []int { return slices.Sorted(maps.Keys(retention)) }

// Add makes the alarms' names more by these, as many services would.
func (a *Alarms) Add(names ...string) { *a.names = append(*a.names, names...) }

// AddInterlock adds only the stacks that refuse a position out of turn.
func AddInterlock(scope constructs.Construct, d config.Deployment, s config.Settings) {
	m := d.Migration()
	locks := m.Locks(m.State(s.Position))
	newGate(scope, s, locks)
	newPhase(scope, s, locks)
}

// GoPackages are the services whose images are compiled.
var GoPackages = goPackages

// ReadExisting and WriteExisting are what synthesis does with what exists.
var ReadExisting, WriteExisting = readExisting, writeExisting
