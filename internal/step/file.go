package step

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cutover/internal/file"
	"cutover/migration"
)

// File is a cdk.json, and where its settings are in its text.
type File struct {
	// Context has the values of the context, as encoding/json decodes them.
	Context map[string]any
	// Text is the whole file.
	Text []byte

	path    string
	context int      // the offset of the context
	members []member // of the context, in their order
}

// member is a member of a JSON object, with the offsets of its key, of what follows the key, and of
// its value.
type member struct {
	name                   string
	key, colon, value, end int
}

// splice replaces a part of a text.
type splice struct {
	from, to int
	text     string
}

// ReadFile reads a cdk.json. Its context must have a phase.
func ReadFile(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: run this where the app's cdk.json is", err)
	}
	return parse(path, text)
}

func parse(path string, text []byte) (*File, error) {
	f := &File{Text: text, path: path}
	top, err := members(text, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	context, err := only(top, "context")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f.context = context.value
	if f.members, err = members(text, context.value); err != nil {
		return nil, fmt.Errorf("%s: context: %w", path, err)
	}
	if _, err := only(f.members, "phase"); err != nil {
		return nil, fmt.Errorf("%s: context: %w: put the line \"phase\": \"monolith\" there", path, err)
	}
	if err := json.Unmarshal(text[context.value:context.end], &f.Context); err != nil {
		return nil, fmt.Errorf("%s: context: %w", path, err)
	}
	return f, nil
}

// members returns the members of the object that begins at an offset.
func members(text []byte, offset int) ([]member, error) {
	decoder := json.NewDecoder(bytes.NewReader(text[offset:]))
	if token, err := decoder.Token(); err != nil {
		return nil, err
	} else if token != json.Delim('{') {
		return nil, fmt.Errorf("%v is not a JSON object", token)
	}
	var all []member
	for decoder.More() {
		from := offset + int(decoder.InputOffset())
		m := member{key: from + bytes.IndexByte(text[from:], '"')}
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		m.name, _ = token.(string)
		m.colon = offset + int(decoder.InputOffset())
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		m.end = offset + int(decoder.InputOffset())
		m.value = m.end - len(value)
		all = append(all, m)
	}
	_, err := decoder.Token()
	return all, err
}

// only returns the one member of that name.
func only(all []member, name string) (member, error) {
	named := func(m member) bool { return m.name == name }
	i := slices.IndexFunc(all, named)
	if i < 0 {
		return member{}, fmt.Errorf("there is no %q", name)
	}
	if slices.ContainsFunc(all[i+1:], named) {
		return member{}, fmt.Errorf("%q is there twice: remove one", name)
	}
	return all[i], nil
}

// Edit returns the file with another position of the app. Every other byte stays the same.
//
//   - One phase for all is a word. A new shift goes to the line of the phase, so that each step of a
//     migration changes one line. A shift on a line of its own stays there until it is removed.
//   - Places stay the text or the object that they are. Only services that move change.
//   - A step to another kind of compute changes the setting compute alone, in the same way. The line goes
//     with the last service.
func (f *File) Edit(app App, to migration.Position) (*File, error) {
	if !maps.Equal(to.Compute, app.At.Compute) {
		return f.editComputes(app, to)
	}
	at, err := only(f.members, "phase")
	if err != nil {
		return nil, err
	}
	var splices []splice
	text, _ := f.Context["phase"].(string)
	object, isObject := f.Context["phase"].(map[string]any)
	switch {
	case to.Places == nil, app.At.Places == nil:
		splices = []splice{{at.value, at.end, quote(to.PhaseText(app.Deployment.Monolith.Name))}}
	case isObject:
		splices, err = editObject(f.Text, at.value, changed(app, to, slices.Collect(maps.Keys(object))))
		if err != nil {
			return nil, fmt.Errorf("phase: %w", err)
		}
	default:
		splices = []splice{{at.value, at.end, quote(editText(text, func(given []string) []change { return changed(app, to, given) }))}}
	}
	shift := to.ShiftText()
	i := slices.IndexFunc(f.members, func(m member) bool { return m.name == "shift" })
	switch {
	case i < 0 && shift != "":
		splices = append(splices, splice{at.end, at.end, `, "shift": ` + quote(shift)})
	case i < 0:
	case shift != "":
		splices = append(splices, splice{f.members[i].value, f.members[i].end, quote(shift)})
	default:
		splices = append(splices, without(f.members, i))
	}
	return f.splice(splices)
}

// splice returns the file with other parts.
func (f *File) splice(splices []splice) (*File, error) {
	slices.SortFunc(splices, func(a, b splice) int { return b.from - a.from }) // the last first
	edited := slices.Clone(f.Text)
	for _, s := range splices {
		edited = slices.Replace(edited, s.from, s.to, []byte(s.text)...)
	}
	return parse(f.path, edited)
}

// editComputes edits the services whose place on the way to another kind of compute changes, one after
// the other.
func (f *File) editComputes(app App, to migration.Position) (*File, error) {
	var err error
	for _, name := range app.Migration.Moving() {
		place := to.Compute[name]
		if place == app.At.Compute[name] {
			continue
		}
		c := change{name: name}
		if place != (migration.Place{}) {
			c.by = []pair{{name, place.String()}}
		}
		if f, err = f.editCompute(c); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *File) editCompute(c change) (*File, error) {
	const setting = "compute"
	i := slices.IndexFunc(f.members, func(m member) bool { return m.name == setting })
	if i < 0 {
		at, err := only(f.members, "phase")
		if err != nil {
			return nil, err
		}
		return f.splice([]splice{{at.end, at.end, fmt.Sprintf(", %q: %s", setting, quote(c.by[0].name+"="+c.by[0].place))}})
	}
	at, err := only(f.members, setting)
	if err != nil {
		return nil, err
	}
	text, _ := f.Context[setting].(string)
	object, _ := f.Context[setting].(map[string]any)
	if len(object) > 1 || len(object) == 1 && len(c.by) > 0 {
		splices, err := editObject(f.Text, at.value, []change{c})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", setting, err)
		}
		return f.splice(splices)
	}
	if text = editText(text, func([]string) []change { return []change{c} }); text == "" {
		return f.splice([]splice{without(f.members, i)})
	}
	return f.splice([]splice{{at.value, at.end, quote(text)}})
}

// without removes a member that is not the only one, with the comma before it or, for the first,
// after it.
func without(members []member, i int) splice {
	if i == 0 {
		return splice{members[0].key, members[1].key, ""}
	}
	return splice{members[i-1].end, members[i].end, ""}
}

// change replaces the place of a name by others: by none, by another one of the same name, or, for
// a service whose routes part, by one for each route. A name that is missing is added.
type change struct {
	name string
	by   []pair
}

type pair struct{ name, place string }

// changed lists what changes in places that give these names. A service's name stands for its
// routes that are not named.
func changed(app App, to migration.Position, given []string) (changes []change) {
	for _, s := range app.Migration.Services {
		var under []string // the service's name
		moves := false
		for _, key := range s.Keys() {
			if key != s.Name && slices.Contains(given, key) {
				if to.Places[key] != app.At.Places[key] {
					changes = append(changes, change{key, []pair{{key, to.Places[key].String()}}})
				}
				continue
			}
			under = append(under, key)
			moves = moves || to.Places[key] != app.At.Places[key]
		}
		if !moves {
			continue
		}
		c := change{name: s.Name}
		for _, key := range under {
			c.by = append(c.by, pair{key, to.Places[key].String()})
		}
		if !slices.ContainsFunc(c.by, func(p pair) bool { return p.place != c.by[0].place }) {
			c.by = []pair{{s.Name, c.by[0].place}}
		}
		changes = append(changes, c)
	}
	monolith := change{name: app.Deployment.Monolith.Name}
	switch {
	case to.Phase >= migration.Retired:
		monolith.by = []pair{{monolith.name, to.Phase.String()}}
	case !slices.Contains(given, monolith.name):
		return changes
	}
	return append(changes, monolith)
}

// editText edits places in a text, as in "users=switched,posts=10%".
func editText(text string, changes func(given []string) []change) string {
	separator := ","
	if strings.Contains(text, ", ") {
		separator = ", "
	}
	var pairs []pair
	var given []string
	for part := range strings.SplitSeq(text, ",") {
		if name, place, ok := strings.Cut(part, "="); ok {
			pairs = append(pairs, pair{strings.TrimSpace(name), strings.TrimSpace(place)})
			given = append(given, strings.TrimSpace(name))
		}
	}
	for _, c := range changes(given) {
		i := slices.IndexFunc(pairs, func(p pair) bool { return p.name == c.name })
		if i < 0 {
			pairs = append(pairs, c.by...)
		} else {
			pairs = slices.Replace(pairs, i, i+1, c.by...)
		}
	}
	var parts []string
	for _, p := range pairs {
		parts = append(parts, p.name+"="+p.place)
	}
	return strings.Join(parts, separator)
}

// editObject edits places in the object that begins at an offset. What is new looks like the last
// member.
func editObject(text []byte, offset int, changes []change) (splices []splice, err error) {
	all, err := members(text, offset)
	if err != nil {
		return nil, err
	}
	last, gap := all[len(all)-1], "" // config refuses an object without members
	if len(all) == 1 {
		gap = cmp.Or(string(text[offset+1:last.key]), " ")
	} else {
		_, gap, _ = strings.Cut(string(text[all[len(all)-2].end:last.key]), ",")
	}
	colon := string(text[last.colon:last.value])
	write := func(pairs []pair, separator string) string {
		var parts []string
		for _, p := range pairs {
			parts = append(parts, quote(p.name)+colon+quote(p.place))
		}
		return strings.Join(parts, separator)
	}
	var added []pair
	for _, c := range changes {
		i := slices.IndexFunc(all, func(m member) bool { return m.name == c.name })
		switch {
		case i < 0:
			added = append(added, c.by...)
			continue
		case len(c.by) == 0:
			splices = append(splices, without(all, i))
			continue
		}
		if _, err := only(all, c.name); err != nil {
			return nil, err
		}
		if len(c.by) == 1 && c.by[0].name == c.name {
			splices = append(splices, splice{all[i].value, all[i].end, quote(c.by[0].place)})
		} else {
			splices = append(splices, splice{all[i].key, all[i].end, write(c.by, ","+gap)})
		}
	}
	if len(added) > 0 {
		splices = append(splices, splice{last.end, last.end, "," + gap + write(added, ","+gap)})
	}
	return splices, nil
}

// Setting is a context key with its value.
type Setting struct{ Key, Value string }

// Set returns the file with other settings. One that is there keeps its place. One that is new has a line of
// its own before the phase. Every other byte stays the same.
func (f *File) Set(settings []Setting) (*File, error) {
	at, err := only(f.members, "phase")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(f.members, func(m member) bool { return m.name == "phase" })
	from := f.context + 1
	if i > 0 {
		from = f.members[i-1].end
	}
	gap := cmp.Or(strings.TrimPrefix(strings.TrimLeft(string(f.Text[from:at.key]), " "), ","), " ")
	var splices []splice
	added := ""
	for _, s := range settings {
		if !slices.ContainsFunc(f.members, func(m member) bool { return m.name == s.Key }) {
			added += quote(s.Key) + ": " + quote(s.Value) + "," + gap
			continue
		}
		m, err := only(f.members, s.Key)
		if err != nil {
			return nil, err
		}
		splices = append(splices, splice{m.value, m.end, quote(s.Value)})
	}
	return f.splice(append(splices, splice{at.key, at.key, added}))
}

func quote(text string) string {
	quoted, _ := json.Marshal(text) // never fails for a string
	return string(quoted)
}

// Write replaces the file at once and keeps its mode. A reader sees the old or the new text.
func (f *File) Write() error {
	path, err := filepath.EvalSymlinks(f.path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return file.Replace(path, f.Text, info.Mode().Perm())
}
