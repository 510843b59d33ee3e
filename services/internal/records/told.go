package records

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"cutover/services/internal/events"
	"cutover/services/internal/relay"
	"cutover/services/internal/server"
	"cutover/services/internal/store"
)

// by is who made a change: the address of the client as the last load balancer saw it, and the trace of the request.
type by struct {
	Address string `json:"address,omitempty"`
	Trace   string `json:"trace,omitempty"`
}

func byOf(r *http.Request) by {
	list := r.Header.Get("X-Forwarded-For")
	address := strings.TrimSpace(list[strings.LastIndex(list, ",")+1:])
	if address == "" {
		address, _, _ = net.SplitHostPort(r.RemoteAddr)
	}
	return by{short(address, 64), short(r.Header.Get("X-Amzn-Trace-Id"), 200)}
}

// short is the beginning of a client's text. In JSON, a byte takes up to six.
func short(text string, most int) string { return strings.ToValidUTF8(text[:min(len(text), most)], "") }

// change is what an item says of its last change, beside its body.
type change struct {
	Type string    `json:"type"`
	Time time.Time `json:"time"`
	// Run is that of a snapshot.
	Run string `json:"run,omitempty"`
	// Records is how many snapshots a run has told. It is with the end of the run.
	Records int `json:"records,omitempty"`
}

// logged is a line of a record's history.
type logged struct {
	Type string    `json:"type"`
	Time time.Time `json:"time"`
	by
	// Erased says that the content was erased with the record.
	Erased bool            `json:"erased,omitempty"`
	Data   json.RawMessage `json:"data"`
}

// Republished is the type of the event at the end of a run, with a dot and the kind before it.
const Republished = "republished"

// tells reads what the environment says of the module's events, and registers the commands about them.
func (s *stored) tells(rt *server.Router) error {
	get := func(what string) string { return rt.Getenv(strings.ToUpper(s.Name) + "_" + what) }
	s.publishes, s.keeps = get("PUBLISHES") == "on", get("HISTORY") == "on"
	if s.publishes {
		rt.Command("republish", s.republish)
	}
	if arn := get("TOPIC_ARN"); arn != "" {
		s.relays = true
		topic, err := relay.OpenTopic(arn, rt.Getenv)
		if err != nil {
			return fmt.Errorf("%s_TOPIC_ARN: %w", strings.ToUpper(s.Name), err)
		}
		name := strings.TrimSuffix(arn[strings.LastIndex(arn, ":")+1:], ".fifo") // dev-users
		one := relay.Relay{
			Event: s.Event, To: topic, Log: slog.New(slog.NewJSONHandler(os.Stdout, nil)),
			Environment: strings.TrimSuffix(name, "-"+s.Name), Service: s.Name,
		}
		rt.Records("aws:dynamodb", one.Stream)
		if outbox, is := s.store.(store.Outbox); is {
			rt.Worker("relay", func(ctx context.Context, log *slog.Logger) error {
				one.Log = log
				return one.Poll(ctx, outbox)
			})
		}
	}
	if s.keeps {
		rt.Command("replay", s.replay)
		rt.Command("history", s.history)
		rt.Command("forget", s.forget)
	}
	return nil
}

// told adds to the changes of a write what is told of a record's change, and its line in the history. All is one transaction. If the
// history lacks the change before, since it was not kept then, it goes on with a snapshot of what the record was.
func (s *stored) told(ctx context.Context, who by, what string, before store.Item, changes []store.Change) ([]store.Change, error) {
	if !s.publishes && !s.keeps {
		return changes, nil
	}
	now := time.Now().UTC()
	for i := range changes {
		c := &changes[i]
		if c.List != s.Name {
			continue
		}
		if s.publishes {
			event, err := json.Marshal(change{Type: what, Time: now})
			if err != nil {
				return nil, err
			}
			c.Event = event
		}
		if s.keeps {
			line, err := lineOf(c.Item, logged{Type: what, Time: now, by: who, Data: c.Body})
			if err != nil {
				return nil, err
			}
			begun, err := s.begun(ctx, before, now)
			if err != nil {
				return nil, err
			}
			changes = append(append(changes, line), begun...)
		}
		break
	}
	return changes, nil
}

// begun is a line with a record as it is, unless the history has its last change. A record that was never written has none.
func (s *stored) begun(ctx context.Context, item store.Item, now time.Time) ([]store.Change, error) {
	if item.Version == 0 {
		return nil, nil
	}
	lines, err := s.store.Get(ctx, store.Key{List: historyOf(item.ID), ID: ItemID(item.Seq)})
	if err != nil || lines[0].Version > 0 {
		return nil, err
	}
	line, err := lineOf(item, logged{Type: events.Snapshot, Time: now, Data: item.Body})
	return []store.Change{line}, err
}

// historyOf is the list with the history of a record. Its items have the sequence numbers of the changes.
func historyOf(id string) string { return "history#" + id }

func lineOf(item store.Item, line logged) (store.Change, error) {
	body, err := server.Encode(line)
	return store.Change{Item: store.Item{Key: store.Key{List: historyOf(item.ID), ID: ItemID(item.Seq)}, Seq: item.Seq, Body: body}}, err
}

// Event is the event of a record's change, from its item in the store.
func (k Kind) Event(item store.Item) (events.Event, error) {
	kind := k.Name
	var c change
	if err := json.Unmarshal(item.Event, &c); err != nil {
		return events.Event{}, fmt.Errorf("what is told of %v cannot be read: %w", item.Key, err)
	}
	if c.Type == Republished {
		data, err := json.Marshal(map[string]int{"records": c.Records})
		return events.Event{
			ID: kind + "#" + c.Run, Source: "/api/" + kind, Type: kind + "." + Republished, Subject: kind, Time: c.Time, Sequence: 1, Run: c.Run, Data: data,
		}, err
	}
	id := strings.TrimLeft(item.ID, "0")
	e := events.Event{
		ID: fmt.Sprintf("%s/%s#%d", kind, id, item.Seq), Source: "/api/" + kind, Type: kind + "." + c.Type, Subject: kind + "/" + id,
		Time: c.Time, Sequence: item.Seq, DataSchema: k.SchemaName(), Data: item.Body, Run: c.Run,
	}
	if c.Run != "" {
		e.ID += "#" + c.Run
	}
	return e.Fit("/api/" + kind + "/" + id)
}

// SchemaName names the schema of the data in events, with its version.
func (k Kind) SchemaName() string { return fmt.Sprintf("%s/%d", k.Name, max(1, k.Version)) }

// Schema is the JSON schema of the data in events. Texts may be cut, so that no length is in it. More members may come.
func (k Kind) Schema() ([]byte, error) {
	properties, required := map[string]any{}, []string{}
	if !k.HidesID {
		properties["id"], required = map[string]any{"type": "integer"}, append(required, "id")
	}
	for _, f := range k.Fields {
		property := map[string]any{"type": "string"}
		if f.Of != "" {
			property = map[string]any{"type": "integer", "description": "the id of a " + one(f.Of)}
		}
		properties[f.Name], required = property, append(required, f.Name)
	}
	return json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": k.SchemaName(), "type": "object", "properties": properties, "required": required,
	}, "", "  ")
}

// EventTypes are what happens to a record, and the end of a run of snapshots.
var EventTypes = []string{events.Created, events.Changed, events.Deleted, events.Snapshot, Republished}

// EventSchema is the JSON schema of the events of a type, as a consumer gets them. More members may come.
func (k Kind) EventSchema(what string) ([]byte, error) {
	text := func(pattern string) any { return map[string]any{"type": "string", "pattern": pattern} }
	is := func(value string) any { return map[string]any{"const": value} }
	subject := k.Name + "/[1-9][0-9]*"
	properties := map[string]any{
		"specversion": is("1.0"), "source": is("/api/" + k.Name), "type": is(k.Name + "." + what), "subject": text("^" + subject + "$"),
		"id": text("^" + subject + "#[1-9][0-9]*$"), "time": map[string]any{"type": "string", "format": "date-time"}, "sequence": text("^[1-9][0-9]*$"),
		"datacontenttype": is("application/json"), "dataschema": is(k.SchemaName()), "data": map[string]any{"$ref": k.SchemaFile()},
		"truncated": map[string]any{"type": "boolean"}, "dataref": text("^/api/" + subject + "$"),
	}
	required := []string{"specversion", "source", "type", "subject", "id", "time", "sequence"}
	run := map[string]any{"type": "string"}
	switch what {
	case events.Created, events.Changed:
		required = append(required, "dataschema", "data")
	case events.Deleted:
		properties["data"] = false
	case events.Snapshot: // without data, the record was deleted
		properties["id"], properties["run"], required = text("^"+subject+"#[1-9][0-9]*#"), run, append(required, "run")
	case Republished:
		properties["subject"], properties["id"], properties["run"], required = is(k.Name), text("^"+k.Name+"#"), run, append(required, "run", "data")
		properties["data"] = map[string]any{"type": "object", "properties": map[string]any{"records": map[string]any{"type": "integer"}}, "required": []string{"records"}}
	}
	return json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": properties, "required": required,
	}, "", "  ")
}

// SchemaFile is the name of the file with the schema of the data.
func (k Kind) SchemaFile() string { return strings.ReplaceAll(k.SchemaName(), "/", ".") + ".json" }

// each calls a function with the items of all records, those that were deleted among them, in the order of their ids.
func (s *stored) each(ctx context.Context, do func(store.Item) error) error {
	for after := ""; ; {
		items, err := s.store.List(ctx, s.Name, after, maxRead)
		if err != nil || len(items) == 0 {
			return err
		}
		for _, item := range items {
			if err := do(item); err != nil {
				return err
			}
		}
		after = items[len(items)-1].ID
	}
}

// runFormat is that of the name of a run. It is a part of what SNS tells two messages by, which has at most 128 characters.
var runFormat = regexp.MustCompile(`^[A-Za-z0-9._-]{1,60}$`)

// republish tells of every record as it is, and at the end how many it has told of. A record is written again with the same content and
// sequence number, so that the snapshot has its place among the changes. A record whose last change
// is not in its history gets a line.
func (s *stored) republish(ctx context.Context, args []string, stdout io.Writer) error {
	run := time.Now().UTC().Format("20060102T150405.000000Z")
	if len(args) == 1 {
		run = args[0]
	}
	if len(args) > 1 || !runFormat.MatchString(run) {
		return fmt.Errorf("republish takes the name of the run, of 1 to 60 letters, digits, dots, hyphens and underscores, and no more: %q", args)
	}
	n := 0
	err := s.each(ctx, func(item store.Item) error {
		for range attempts {
			if err := s.snapshot(ctx, item, run); err == nil {
				n++
				return nil
			} else if !conflicts(err) {
				return err
			}
			items, err := s.store.Get(ctx, item.Key)
			if err != nil {
				return err
			}
			if item = items[0]; item.Version == 0 {
				return nil // it had expired
			}
		}
		return tooBusy
	})
	if err != nil {
		return fmt.Errorf("%s: %d records were published again, then: %w", s.Name, n, err)
	}
	event, err := json.Marshal(change{Type: Republished, Time: time.Now().UTC(), Run: run, Records: n})
	if err != nil {
		return err
	}
	end := store.Item{Key: store.Key{List: "republished", ID: run}, Seq: 1, Event: event, Expires: time.Now().Add(deletedLife)}
	if err := s.store.Write(ctx, store.Change{Item: end}); err != nil {
		return fmt.Errorf("%s: the end of the run %s cannot be written: %w", s.Name, run, err)
	}
	fmt.Fprintf(stdout, "%s: %d records published again, run %s\n", s.Name, n, run)
	return nil
}

// snapshot writes a record again.
func (s *stored) snapshot(ctx context.Context, item store.Item, run string) error {
	now := time.Now().UTC()
	event, err := json.Marshal(change{Type: events.Snapshot, Time: now, Run: run})
	if err != nil {
		return err
	}
	again := item
	again.Event = event
	changes := []store.Change{{Item: again, Expected: item.Version}}
	if s.keeps {
		begun, err := s.begun(ctx, item, now)
		if err != nil {
			return err
		}
		changes = append(changes, begun...)
	}
	return s.store.Write(ctx, changes...)
}

// lines are the history of a record.
func (s *stored) lines(ctx context.Context, id string) (items []store.Item, lines []logged, err error) {
	items, err = s.store.List(ctx, historyOf(id), "", 0)
	if err != nil {
		return nil, nil, err
	}
	for _, item := range items {
		var line logged
		if err := json.Unmarshal(item.Body, &line); err != nil {
			return nil, nil, fmt.Errorf("the history of %s/%s cannot be read: %w", s.Name, strings.TrimLeft(id, "0"), err)
		}
		lines = append(lines, line)
	}
	return items, lines, nil
}

// fold is what a record is by its history: the sequence number and the content of the last line. It returns what is wrong with
// the history. A snapshot may follow any change: there was no history in between.
func fold(seqs []int64, lines []logged) (seq int64, data []byte, wrong string) {
	for i, line := range lines {
		switch snapshot, first := line.Type == events.Snapshot, i == 0; {
		case first && seqs[i] != 1 && !snapshot:
			return 0, nil, fmt.Sprintf("it begins with change %d", seqs[i])
		case !first && seqs[i] != seq+1 && !snapshot:
			return 0, nil, fmt.Sprintf("change %d follows change %d", seqs[i], seq)
		case !first && data == nil && !line.Erased && line.Type != events.Created && !snapshot:
			return 0, nil, fmt.Sprintf("change %d is about a record that was deleted", seqs[i])
		}
		seq, data = seqs[i], line.Data
		if string(data) == "null" {
			data = nil
		}
		if line.Erased && line.Type != events.Deleted {
			data = []byte{} // there was something
		}
	}
	return seq, data, ""
}

// differs says how a record differs from what its history adds up to; "" if it does not. An item that is not there was deleted long ago.
func differs(item store.Item, seqs []int64, lines []logged) string {
	seq, data, wrong := fold(seqs, lines)
	switch {
	case wrong != "":
		return wrong
	case item.Version == 0 && data != nil:
		return fmt.Sprintf("the history ends with change %d, and there is no record", seq)
	case item.Version == 0:
		return ""
	case len(lines) == 0:
		return "there is no history: the record is older than it, and republish begins one"
	case seq != item.Seq:
		return fmt.Sprintf("the history ends with change %d, and the record has had %d", seq, item.Seq)
	case string(data) != string(item.Body):
		return "the history ends with another content"
	}
	return ""
}

// compare compares a record with its history, and returns how many changes that has. Requests may change both meanwhile.
func (s *stored) compare(ctx context.Context, id int64) (changes int, wrong string, err error) {
	for range attempts {
		before, err := s.get(ctx, id)
		if err != nil {
			return 0, "", err
		}
		items, lines, err := s.lines(ctx, before.ID)
		if err != nil {
			return 0, "", err
		}
		var seqs []int64
		for _, line := range items {
			seqs = append(seqs, line.Seq)
		}
		if wrong = differs(before, seqs, lines); wrong == "" {
			return len(lines), "", nil
		}
		after, err := s.get(ctx, id)
		if err != nil || after.Version == before.Version {
			return len(lines), wrong, err
		}
	}
	return 0, "", tooBusy
}

// replay folds the history of every record, and compares it with what is stored. It looks at all ids that were ever given, and so finds
// a record that is gone. The error says that they differ.
func (s *stored) replay(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) > 0 {
		return fmt.Errorf("replay takes nothing: %q", args)
	}
	items, err := s.store.Get(ctx, counter)
	if err != nil {
		return err
	}
	given := counted{Next: 1}
	if items[0].Version > 0 {
		if err := json.Unmarshal(items[0].Body, &given); err != nil {
			return fmt.Errorf("the counter of ids cannot be read: %w", err)
		}
	}
	records, changes, differ := 0, 0, 0
	var mu sync.Mutex
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(comparedAtOnce)
	for id := int64(1); id < given.Next && ctx.Err() == nil; id++ {
		all.Go(func() error {
			n, wrong, err := s.compare(ctx, id)
			if err != nil {
				return fmt.Errorf("%s/%d: %w", s.Name, id, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if n > 0 || wrong != "" {
				records, changes = records+1, changes+n
			}
			if wrong != "" {
				differ++
				fmt.Fprintf(stdout, "%s/%d: %s\n", s.Name, id, wrong)
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d records by %d changes, %d differ\n", s.Name, records, changes, differ)
	if differ > 0 {
		return fmt.Errorf("%d of %d records of %s are not what their history says", differ, records, s.Name)
	}
	return nil
}

// comparedAtOnce is how many records a replay compares at the same time. Each has its history in memory.
const comparedAtOnce = 4

// recordID is the id in the arguments of a command.
func (s *stored) recordID(command string, args []string) (int64, error) {
	if len(args) == 1 {
		if id, ok := server.StrictID(strings.TrimPrefix(args[0], s.Name+"/")); ok {
			return id, nil
		}
	}
	return 0, fmt.Errorf("%s takes the id of a record, as in \"%s 7\": %q is none", command, command, strings.Join(args, " "))
}

// history shows who changed a record, what and when.
func (s *stored) history(ctx context.Context, args []string, stdout io.Writer) error {
	id, err := s.recordID("history", args)
	if err != nil {
		return err
	}
	items, lines, err := s.lines(ctx, ItemID(id))
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		return fmt.Errorf("%s/%d has no history", s.Name, id)
	}
	for i, line := range lines {
		data := string(line.Data)
		switch {
		case line.Erased:
			data = "(erased)"
		case len(data) > maxShown:
			data = strings.ToValidUTF8(data[:maxShown], "") + "…"
		}
		who := strings.TrimSpace(line.Address + " " + line.Trace)
		if who == "" {
			who = "-"
		}
		fmt.Fprintf(stdout, "%d  %s  %s  by %s  %s\n", items[i].Seq, line.Time.Format(time.RFC3339), line.Type, who, data)
	}
	return nil
}

// maxShown is how many bytes of a record the history shows.
const maxShown = 500

// forget erases the content, and who made the changes, from the history of a record that was deleted. That there were changes, and when,
// remains.
func (s *stored) forget(ctx context.Context, args []string, stdout io.Writer) error {
	id, err := s.recordID("forget", args)
	if err != nil {
		return err
	}
	record, err := s.get(ctx, id)
	if err != nil {
		return err
	}
	if record.Body != nil {
		return fmt.Errorf("%s/%d is there: delete it first, then its history can be erased", s.Name, id)
	}
	items, lines, err := s.lines(ctx, ItemID(id))
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		return fmt.Errorf("%s/%d has no history", s.Name, id)
	}
	erased := 0
	for i, line := range lines {
		if line.Erased {
			continue
		}
		line.by, line.Data, line.Erased = by{}, nil, true
		c, err := lineOf(store.Item{Key: s.key(id), Seq: items[i].Seq}, line)
		if err != nil {
			return err
		}
		c.Expected = items[i].Version
		if err := s.store.Write(ctx, c); err != nil {
			return fmt.Errorf("%s/%d: %d of %d changes are erased, then: %w", s.Name, id, erased, len(lines), err)
		}
		erased++
	}
	fmt.Fprintf(stdout, "%s/%d: %d changes erased\n", s.Name, id, erased)
	return nil
}
