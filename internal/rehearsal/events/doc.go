// Package events judges the events of a rehearsal: whether each consumer got every change of every key in its order, whether what
// the events say together is what the services have stored, whether a read model shows that, and whether the dead-letter queues have
// what they should.
//
// The judges are plain functions of what was received and read. [Observer] receives and reads it.
package events
