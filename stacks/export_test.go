package stacks

// SynthWith is what a synthesis of the tests shares with [Synth].
var SynthWith = synth
