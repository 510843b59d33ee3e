package services_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"cutover/assets/data"
	"cutover/internal/golden"
	"cutover/services/internal/events"
	"cutover/services/internal/records"
	"cutover/services/internal/server"
	"cutover/services/internal/store"
	posts "cutover/services/posts/routes"
	threads "cutover/services/threads/routes"
	users "cutover/services/users/routes"
)

var published = []records.Kind{users.Users, threads.Threads, posts.Posts}

// publishing is a forum in one process whose modules publish, and whose posts have a history.
type publishing struct {
	address string
	stores  map[string]*store.Memory
	modules []server.Module
}

func newPublishing(t testing.TB, variables map[string]string, more ...server.Module) *publishing {
	t.Helper()
	return newPublishingIn(t, variables, map[string]*store.Memory{"users": store.NewMemory(), "threads": store.NewMemory(), "posts": store.NewMemory()}, more...)
}

// newPublishingIn is newPublishing with stores that are there.
func newPublishingIn(t testing.TB, variables map[string]string, stores map[string]*store.Memory, more ...server.Module) *publishing {
	t.Helper()
	p := &publishing{stores: stores, modules: []server.Module{server.Environment(func(name string) string { return variables[name] })}}
	for _, k := range published {
		p.modules = append(p.modules, k.In(data.API, p.stores[k.Name]))
	}
	p.modules = append(p.modules, more...)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = "http://" + listener.Addr().String()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error)
	go func() { ended <- server.Serve(ctx, listener, io.Discard, p.modules...) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections() // the server waits five seconds for one that was never used
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return p
}

// on are the variables of modules that publish, and keep the history of posts.
func on() map[string]string {
	return map[string]string{"USERS_PUBLISHES": "on", "THREADS_PUBLISHES": "on", "POSTS_PUBLISHES": "on", "POSTS_HISTORY": "on"}
}

// do sends a request, and returns the answer's status and header.
func (p *publishing) do(t testing.TB, method, path, body string, header ...string) (int, http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, p.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body) // or the connection serves no other request
	_ = response.Body.Close()
	return response.StatusCode, response.Header
}

// run does a command of the modules, and returns what it writes.
func (p *publishing) run(t testing.TB, line string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := server.Run(context.WithoutCancel(t.Context()), &out, line, p.modules...)
	return out.String(), err
}

// published are the events of a kind that wait in its outbox, and takes them out.
func (p *publishing) told(t testing.TB, k records.Kind) (all []events.Event) {
	t.Helper()
	entries, err := p.stores[k.Name].Pending(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		e, err := k.Event(entry.Item)
		if err != nil {
			t.Fatal(err)
		}
		text, err := e.Encode()
		if err != nil || len(text) > 256<<10 {
			t.Fatal(len(text), err)
		}
		decoded, err := events.Decode(text)
		if err != nil || decoded.ID != e.ID || !bytes.Equal(decoded.Data, e.Data) {
			t.Fatalf("%s is %+v, %v", text, decoded, err)
		}
		validate(t, eventSchemaFile(k, e.Type[len(k.Name)+1:]), text)
		all = append(all, e)
		if err := p.stores[k.Name].Told(t.Context(), entry.Number); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func schemaFile(k records.Kind) string { return filepath.Join("..", "api", "events", k.SchemaFile()) }

// eventSchemaFile has the schema of the events of a type, as in posts.created.1.json.
func eventSchemaFile(k records.Kind, what string) string {
	return strings.Replace(schemaFile(k), k.Name+".", k.Name+"."+what+".", 1)
}

// validate holds an event against a schema in the repository.
func validate(t testing.TB, file string, text []byte) {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile(file)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%.200s: %v", text, err)
	}
}

// The schemas are those of the published. A change that an old consumer cannot read needs a new version.
func TestSchemas(t *testing.T) {
	hold := func(k records.Kind, file string, got []byte, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if old, err := os.ReadFile(file); err == nil {
			for _, wrong := range incompatible(old, got) {
				t.Errorf("%s: %s: give %s another Version", file, wrong, k.Name)
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if !t.Failed() {
			golden.Compare(t, file, append(got, '\n'))
		}
	}
	for _, k := range published {
		got, err := k.Schema()
		hold(k, schemaFile(k), got, err)
		for _, what := range records.EventTypes {
			got, err := k.EventSchema(what)
			hold(k, eventSchemaFile(k, what), got, err)
		}
	}
	for change, want := range map[string]string{
		`{"properties": {"id": {"type": "integer"}, "name": {"type": "string"}, "new": {"type": "string"}}, "required": ["id", "name"]}`: "",
		`{"properties": {"id": {"type": "integer"}}, "required": ["id"]}`:                                                                "name is gone",
		`{"properties": {"id": {"type": "string"}, "name": {"type": "string"}}, "required": ["id", "name"]}`:                             "id was map[type:integer], and is map[type:string]",
		`{"properties": {"id": {"type": "integer"}, "name": {"type": "string"}}, "required": ["id"]}`:                                    "name may be missing",
	} {
		old := `{"properties": {"id": {"type": "integer"}, "name": {"type": "string"}}, "required": ["id", "name"]}`
		if got := strings.Join(incompatible([]byte(old), []byte(change)), ", "); got != want {
			t.Errorf("%s: %s, want %s", change, got, want)
		}
	}
}

// meaning is a schema without what is said for people.
func meaning(schema any) any {
	members, ok := schema.(map[string]any)
	if !ok {
		return schema
	}
	members = maps.Clone(members)
	delete(members, "description")
	return members
}

// incompatible says what a consumer of an old schema cannot read in data of a new one.
func incompatible(before, after []byte) (wrong []string) {
	type schema struct {
		Properties map[string]any
		Required   []string
	}
	var old, now schema
	if err := errors.Join(json.Unmarshal(before, &old), json.Unmarshal(after, &now)); err != nil {
		return []string{err.Error()}
	}
	for name, property := range old.Properties {
		is, there := now.Properties[name]
		switch {
		case !there:
			wrong = append(wrong, name+" is gone")
		case !reflect.DeepEqual(meaning(is), meaning(property)):
			wrong = append(wrong, fmt.Sprintf("%s was %v, and is %v", name, meaning(property), meaning(is)))
		case slices.Contains(old.Required, name) && !slices.Contains(now.Required, name):
			wrong = append(wrong, name+" may be missing")
		}
	}
	slices.Sort(wrong)
	return wrong
}

// Each change is told once, with the numbers 1, 2, 3 of its record. What is refused tells nothing.
func TestChangesAreTold(t *testing.T) {
	p := newPublishing(t, on())
	if _, err := p.run(t, "seed"); err != nil {
		t.Fatal(err)
	}
	for _, k := range published {
		for _, e := range p.told(t, k) {
			if e.Type != k.Name+".created" || e.Sequence != 1 || e.ID != e.Subject+"#1" || e.Source != "/api/"+k.Name {
				t.Errorf("%+v", e)
			}
		}
	}
	long := strings.Repeat("한", 100<<10)
	status, header := p.do(t, "POST", "/api/posts", `{"thread":1,"text":"`+long+`","user":2}`)
	path := header.Get("Location")
	if status != 201 {
		t.Fatal(status)
	}
	id := path[strings.LastIndex(path, "/")+1:]
	if status, _ := p.do(t, "POST", "/api/posts", `{"thread":99,"text":"x","user":2}`); status != 422 {
		t.Error(status)
	}
	if status, _ := p.do(t, "PUT", path, `{"thread":1,"text":"short","user":2}`, "If-Match", `"1"`, "X-Forwarded-For", "10.0.0.1, 192.0.2.7", "X-Amzn-Trace-Id", "Root=1-2-3"); status != 200 {
		t.Error(status)
	}
	if status, _ := p.do(t, "PUT", path, `{"thread":1,"text":"late","user":2}`, "If-Match", `"1"`); status != 412 {
		t.Error(status)
	}
	if text, err := p.run(t, "forget "+id); err == nil || !strings.Contains(err.Error(), "delete it first") {
		t.Error(text, err)
	}
	if status, _ := p.do(t, "DELETE", path, ""); status != 204 {
		t.Error(status)
	}
	var got []string
	for _, e := range p.told(t, posts.Posts) {
		got = append(got, fmt.Sprintf("%s %s %t %s %d", strings.ReplaceAll(e.ID, id, "N"), e.Type, e.Truncated, strings.ReplaceAll(e.DataRef, id, "N"), len(e.Data)))
	}
	want := []string{"posts/N#1 posts.created true /api/posts/N 65570", "posts/N#2 posts.changed false  36", "posts/N#3 posts.deleted false  0"}
	if len(got) != 3 || !strings.HasPrefix(got[0], "posts/N#1 posts.created true /api/posts/N ") || got[1] != want[1] || got[2] != want[2] {
		t.Error(got)
	}

	// The history says who it was, and is what the records add up from.
	text, err := p.run(t, "history "+id)
	if lines := strings.Split(text, "\n"); err != nil || len(lines) != 4 || !strings.Contains(lines[1], `changed  by 192.0.2.7 Root=1-2-3  {"thread":1,"text":"short","user":2}`) || !strings.Contains(lines[2], "deleted  by 127.0.0.1  null") {
		t.Errorf("%.300s %v", text, err)
	}
	if text, err := p.run(t, "replay"); err != nil || !strings.HasSuffix(text, "posts: 7 records by 9 changes, 0 differ\n") {
		t.Error(text, err)
	}
	// What deleted the record may erase what it was.
	if text, err := p.run(t, "forget "+id); err != nil || text != "posts/"+id+": 3 changes erased\n" {
		t.Error(text, err)
	}
	if text, err := p.run(t, "history "+id); err != nil || strings.Contains(text, "192.0.2.7") || strings.Contains(text, "short") || strings.Count(text, "(erased)") != 3 {
		t.Error(text, err)
	}
	if text, err := p.run(t, "replay"); err != nil {
		t.Error(text, err)
	}
	for line, want := range map[string]string{"history": "takes the id", "history x": "takes the id", "history 999": "has no history", "forget 999": "has no history", "replay now": "takes nothing", "republish a b": "and no more", "republish a/b": "and no more", "republish ü": "and no more"} {
		if text, err := p.run(t, line); err == nil || !strings.Contains(err.Error(), want) {
			t.Error(line, text, err)
		}
	}
}

// What is stored beside the history is found.
func TestReplayFindsDifferences(t *testing.T) {
	for name, test := range map[string]struct {
		list  func(store.Item) store.Key
		alter func(*store.Change)
		want  string
	}{
		"another content":    {func(i store.Item) store.Key { return i.Key }, func(c *store.Change) { c.Body = []byte(`{"thread":1,"text":"x","user":1}`) }, "the history ends with another content"},
		"another number":     {func(i store.Item) store.Key { return i.Key }, func(c *store.Change) { c.Seq = 7 }, "the history ends with change 1, and the record has had 7"},
		"the record is gone": {func(i store.Item) store.Key { return i.Key }, func(c *store.Change) { c.Remove = true }, "the history ends with change 1, and there is no record"},
		"a line is gone":     {func(i store.Item) store.Key { return store.Key{List: "history#" + i.ID, ID: fmt.Sprintf("%016d", 1)} }, func(c *store.Change) { c.Remove = true }, "there is no history"},
		"a line is changed": {func(i store.Item) store.Key { return store.Key{List: "history#" + i.ID, ID: fmt.Sprintf("%016d", 1)} },
			func(c *store.Change) { c.Body = []byte(`{"type":"created","data":{}}`) }, "the history ends with another content"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPublishing(t, on())
			if _, err := p.run(t, "seed"); err != nil {
				t.Fatal(err)
			}
			items, err := p.stores["posts"].List(t.Context(), "posts", "", 1)
			if err != nil {
				t.Fatal(err)
			}
			items, err = p.stores["posts"].Get(t.Context(), test.list(items[0]))
			if err != nil {
				t.Fatal(err)
			}
			c := store.Change{Item: items[0], Expected: items[0].Version}
			test.alter(&c)
			if err := p.stores["posts"].Write(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if text, err := p.run(t, "replay"); err == nil || err.Error() != "1 of 6 records of posts are not what their history says" || !strings.Contains(text, "posts/1: "+test.want) {
				t.Error(text, err)
			}
		})
	}
}

// Records that are older than the setting are told by republish, and get the first line of their history. Nobody sees a change.
func TestRepublish(t *testing.T) {
	variables := map[string]string{}
	p := newPublishing(t, variables)
	if _, err := p.run(t, "seed"); err != nil {
		t.Fatal(err)
	}
	if status, _ := p.do(t, "PUT", "/api/posts/2", `{"thread":1,"text":"changed","user":1}`, "If-Match", `"1"`); status != 200 {
		t.Fatal(status)
	}
	if got := p.told(t, posts.Posts); len(got) > 0 {
		t.Error("told without the setting:", got)
	}
	for name, value := range on() {
		variables[name] = value
	}
	text, err := p.run(t, "republish run1")
	if err != nil || !strings.Contains(text, "posts: 6 records published again, run run1\n") || !strings.Contains(text, "users: 4 records") {
		t.Fatal(text, err)
	}
	got := p.told(t, posts.Posts)
	last := got[len(got)-1]
	if len(got) != 7 || got[1].ID != "posts/2#2#run1" || !got[1].IsSnapshot() || last.Type != "posts.republished" || string(last.Data) != `{"records":6}` || last.Run != "run1" {
		t.Errorf("%+v", got)
	}
	if text, err := p.run(t, "replay"); err != nil || !strings.HasSuffix(text, "posts: 6 records by 6 changes, 0 differ\n") {
		t.Error(text, err)
	}
	if _, header := p.do(t, "GET", "/api/posts/2", ""); header.Get("ETag") != `"2"` {
		t.Error(header)
	}
}

// A history that is switched on, off and on again goes on with a snapshot of what the record was.
func TestHistoryLater(t *testing.T) {
	before := newPublishing(t, map[string]string{})
	if _, err := before.run(t, "seed"); err != nil {
		t.Fatal(err)
	}
	with := newPublishingIn(t, on(), before.stores)
	n := 0
	put := func(p *publishing) {
		t.Helper()
		n++
		if status, _ := p.do(t, "PUT", "/api/posts/1", fmt.Sprintf(`{"thread":1,"text":"%d","user":1}`, n), "If-Match", "*"); status != 200 {
			t.Fatal(status)
		}
	}
	put(before) // change 2
	put(with)
	put(before)
	put(before)
	put(with)
	if text, err := with.run(t, "replay"); err == nil || strings.Contains(text, "posts/1:") || !strings.Contains(text, "posts/2: there is no history") {
		t.Error(text, err)
	}
	text, err := with.run(t, "history 1")
	var got []string
	for line := range strings.Lines(text) {
		got = append(got, strings.Fields(line)[0]+strings.Fields(line)[2])
	}
	if err != nil || strings.Join(got, " ") != "2snapshot 3changed 5snapshot 6changed" {
		t.Error(got, err)
	}
	if _, err := with.run(t, "republish"); err != nil {
		t.Fatal(err)
	}
	if text, err := with.run(t, "replay"); err != nil || !strings.HasSuffix(text, "posts: 6 records by 9 changes, 0 differ\n") {
		t.Error(text, err)
	}
}

// The largest record has room in its history, with the longest of what a client says of itself.
func TestHistoryOfTheLargest(t *testing.T) {
	p := newPublishing(t, on())
	if _, err := p.run(t, "seed"); err != nil {
		t.Fatal(err)
	}
	const most, around = 390 << 10, len(`{"thread":1,"text":"","user":1}`)
	for more, want := range []int{201, 413} {
		largest := strings.Repeat("\u2028", 40000) + strings.Repeat("x", most-around-6*40000+more) // the store has six bytes for three
		status, header := p.do(t, "POST", "/api/posts", `{"thread":1,"text":"`+largest+`","user":1}`, "X-Forwarded-For", strings.Repeat(`"<`, 100), "X-Amzn-Trace-Id", strings.Repeat(`"<`, 400))
		if status != want {
			t.Fatal(status, header)
		}
	}
	if text, err := p.run(t, "replay"); err != nil {
		t.Error(text, err)
	}
}
