package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Event is a change of a record, as a message tells it.
type Event struct {
	ID string
	// Key is the record, as in "posts/7". It is the subject of the event.
	Key string
	// Sequence counts the changes of the key, from 1.
	Sequence int64
	// Source is the path of the records, as in "/api/posts".
	Source string
	// Type is as in "posts.created".
	Type string
	Time time.Time
	// Run names the republishing that an event belongs to; empty for a change. Such an event repeats a change that was published
	// before, or ends the run.
	Run string
	// Data is the record after the change; nil if it was deleted. Truncated says that long texts are cut.
	Data      json.RawMessage
	Truncated bool
}

// End says that the event is about no record: it ends a run.
func (e Event) End() bool { return e.Run != "" && !strings.HasSuffix(e.Type, ".snapshot") }

// Deleted says that the record is gone after the change.
func (e Event) Deleted() bool { return strings.HasSuffix(e.Type, ".deleted") }

func (e Event) String() string { return fmt.Sprintf("%s#%d (%s)", e.Key, e.Sequence, e.Type) }

// Decode reads the body of a message: a CloudEvent, raw or in the envelope of SNS.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
func Decode(body []byte) (Event, error) {
	var envelope struct{ Type, Message string }
	if json.Unmarshal(body, &envelope) == nil && envelope.Type == "Notification" {
		body = []byte(envelope.Message)
	}
	var read struct {
		SpecVersion, ID, Source, Type, Subject, Run string
		Time                                        time.Time
		Sequence                                    string
		Truncated                                   bool
		Data                                        json.RawMessage
	}
	if err := json.Unmarshal(body, &read); err != nil {
		return Event{}, fmt.Errorf("the body is no CloudEvent: %w", err)
	}
	if read.SpecVersion != "1.0" {
		return Event{}, fmt.Errorf("the body is no CloudEvent of version 1.0: its specversion is %q", read.SpecVersion)
	}
	sequence, err := strconv.ParseInt(read.Sequence, 10, 64)
	if err != nil || sequence < 1 {
		return Event{}, fmt.Errorf("event %s has the sequence %q: it must be a whole number from 1", read.ID, read.Sequence)
	}
	if read.ID == "" || read.Subject == "" {
		return Event{}, errors.New("the event has no id or no subject")
	}
	if string(read.Data) == "null" {
		read.Data = nil
	}
	return Event{
		ID: read.ID, Key: read.Subject, Sequence: sequence, Source: read.Source, Type: read.Type, Time: read.Time,
		Run: read.Run, Data: read.Data, Truncated: read.Truncated,
	}, nil
}
