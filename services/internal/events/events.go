// Package events is the form in which services tell each other what has changed: a CloudEvent in JSON.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Event is a change of a record.
type Event struct {
	// ID is that of the event, as in posts/7#3: the key and the sequence number. A snapshot also has the run.
	ID string
	// Source is the path of the records of the kind, as in /api/posts.
	Source string
	// Type says what happened: the kind, a dot and one of the kinds of changes below.
	Type string
	// Subject is the key of the record, as in posts/7. Events of a key keep their order.
	Subject string
	// Time is when the change was made.
	Time time.Time
	// Sequence is the number of the change of this record: 1, 2, 3 without a gap.
	Sequence int64
	// DataSchema names the schema of Data, as in posts/1.
	DataSchema string
	// Data is the record after the change, in JSON; nil if it was deleted.
	Data json.RawMessage
	// Truncated says that the texts in Data are cut, since a message has no room for them. The record is at DataRef, a path.
	Truncated bool
	DataRef   string
	// Run names the republishing that a snapshot belongs to. Empty for a change.
	Run string
}

// What happened to a record.
const (
	Created  = "created"
	Changed  = "changed"
	Deleted  = "deleted"
	Snapshot = "snapshot"
)

// IsSnapshot says that nothing has changed: the event tells the record as it is.
func (e Event) IsSnapshot() bool { return e.Run != "" }

// envelope is the JSON of an event. The extensions sequence, truncated and run are ours or documented ones:
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/sequence.md
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/dataref.md
type envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            time.Time       `json:"time"`
	Sequence        string          `json:"sequence"`
	DataContentType string          `json:"datacontenttype,omitempty"`
	DataSchema      string          `json:"dataschema,omitempty"`
	DataRef         string          `json:"dataref,omitempty"`
	Truncated       bool            `json:"truncated,omitempty"`
	Run             string          `json:"run,omitempty"`
	Data            json.RawMessage `json:"data,omitempty"`
}

// Encode returns the event in JSON.
func (e Event) Encode() ([]byte, error) {
	v := envelope{
		SpecVersion: "1.0", ID: e.ID, Source: e.Source, Type: e.Type, Subject: e.Subject, Time: e.Time.UTC(), Sequence: strconv.FormatInt(e.Sequence, 10),
		DataSchema: e.DataSchema, DataRef: e.DataRef, Truncated: e.Truncated, Run: e.Run, Data: e.Data,
	}
	if e.Data != nil {
		v.DataContentType = "application/json"
	}
	body, err := plain(v)
	if err != nil {
		return nil, fmt.Errorf("the event %s cannot be written: %w", e.ID, err)
	}
	// SNS and SQS take no others: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
	body = bytes.ReplaceAll(body, []byte("\uFFFE"), []byte(`\ufffe`))
	return bytes.ReplaceAll(body, []byte("\uFFFF"), []byte(`\uffff`)), nil
}

// Decode reads an event, as it is or in the envelope of SNS, which a subscription without raw delivery sends
// (https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html). Members that it does not know are left out, so
// that an old consumer reads the events of a new publisher.
func Decode(message []byte) (Event, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(message, &members); err != nil {
		return Event{}, fmt.Errorf("the message is no JSON object: %w", err)
	}
	if inner, wrapped := members["Message"]; wrapped && members["specversion"] == nil {
		var text string
		if err := json.Unmarshal(inner, &text); err != nil {
			return Event{}, fmt.Errorf("the envelope of SNS has no text in Message: %w", err)
		}
		return Decode([]byte(text))
	}
	var v envelope
	if err := json.Unmarshal(message, &v); err != nil {
		return Event{}, fmt.Errorf("the message is no CloudEvent: %w", err)
	}
	sequence, err := strconv.ParseInt(v.Sequence, 10, 64)
	e := Event{
		ID: v.ID, Source: v.Source, Type: v.Type, Subject: v.Subject, Time: v.Time, Sequence: sequence,
		DataSchema: v.DataSchema, Data: v.Data, Truncated: v.Truncated, DataRef: v.DataRef, Run: v.Run,
	}
	switch {
	case v.SpecVersion != "1.0":
		return e, fmt.Errorf("the message is no CloudEvent 1.0: its specversion is %q", v.SpecVersion)
	case e.ID == "" || e.Source == "" || e.Type == "" || e.Subject == "" || e.Time.IsZero():
		return e, errors.New("the CloudEvent needs an id, a source, a type, a subject and a time")
	case err != nil || sequence < 1:
		return e, fmt.Errorf("the CloudEvent %s has the sequence %q: a whole number from 1 on is needed", e.ID, v.Sequence)
	}
	if bytes.Equal(e.Data, []byte("null")) {
		e.Data = nil
	}
	return e, nil
}

// maxMessage is how long the JSON of an event may be, in bytes. A message of SNS has at most 256 KiB with its attributes, unless
// the topic takes more (https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html).
const maxMessage = 250 << 10

// maxText is what is left of a text in the data of an event that is too long as a whole, in bytes of JSON.
const maxText = 64 << 10

// Fit cuts the texts in the data if the event has no room for them otherwise, and says where the record is. The error says that
// the event is too long even so: SNS would never take it.
func (e Event) Fit(path string) (Event, error) {
	if text, err := e.Encode(); err != nil || len(text) <= maxMessage {
		return e, err
	}
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(e.Data))
	decoder.UseNumber()
	if err := decoder.Decode(&members); err != nil {
		return e, fmt.Errorf("the data of %s cannot be read: %w", e.ID, err)
	}
	for name, value := range members {
		if text, ok := value.(string); ok {
			members[name] = cut(text)
		}
	}
	data, err := plain(members)
	if err != nil {
		return e, fmt.Errorf("the data of %s cannot be cut: %w", e.ID, err)
	}
	e.Data, e.Truncated, e.DataRef = data, true, path
	text, err := e.Encode()
	if err == nil && len(text) > maxMessage {
		err = fmt.Errorf("%s has %d bytes with its texts cut: at most %d are allowed", e.ID, len(text), maxMessage)
	}
	return e, err
}

// cut is the beginning of a text that has maxText bytes in JSON, where one byte has up to six.
func cut(text string) string {
	for end := min(len(text), maxText); ; {
		short := strings.ToValidUTF8(text[:end], "")
		encoded, err := plain(short)
		if err != nil || len(encoded) <= maxText+len(`""`) {
			return short
		}
		end -= max(1, (len(encoded)-maxText)/6)
	}
}

// plain is JSON in which < is one byte long.
func plain(v any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}
