package step

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// File is a cdk.json, and the places of the phase and the shift in its text.
type File struct {
	// Context has the values of the context, as encoding/json decodes them.
	Context map[string]any
	// Text is the whole file.
	Text []byte

	path    string
	members []member // of the context, in their order
}

// member is a member of a JSON object, with the offsets of its key and its value.
type member struct {
	name            string
	key, value, end int
}

// ReadFile reads a cdk.json. Its context must have a phase.
func ReadFile(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: run this where the app's cdk.json is", err)
	}
	f := &File{Text: text, path: path}
	top, err := members(text, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	context, err := only(top, "context")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
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

// Edit returns the text with another phase and shift. Every other byte stays the same. An empty
// shift removes the shift.
//
// A new shift goes to the line of the phase, so that each step of a migration changes one line. A
// shift on a line of its own stays there until it is removed.
func (f *File) Edit(phase, shift string) ([]byte, error) {
	at, err := only(f.members, "phase")
	if err != nil {
		return nil, err
	}
	type splice struct {
		from, to int
		text     string
	}
	splices := []splice{{at.value, at.end, quote(phase)}}
	i := slices.IndexFunc(f.members, func(m member) bool { return m.name == "shift" })
	switch {
	case i < 0 && shift != "":
		splices = append(splices, splice{at.end, at.end, `, "shift": ` + quote(shift)})
	case i < 0:
	case shift != "":
		splices = append(splices, splice{f.members[i].value, f.members[i].end, quote(shift)})
	case i == 0: // with the comma after it: the phase is there, too
		splices = append(splices, splice{f.members[0].key, f.members[1].key, ""})
	default: // with the comma before it
		splices = append(splices, splice{f.members[i-1].end, f.members[i].end, ""})
	}
	slices.SortFunc(splices, func(a, b splice) int { return b.from - a.from }) // the last first
	text := slices.Clone(f.Text)
	for _, s := range splices {
		text = slices.Replace(text, s.from, s.to, []byte(s.text)...)
	}
	return text, nil
}

func quote(text string) string {
	quoted, _ := json.Marshal(text) // never fails for a string
	return string(quoted)
}

// Write replaces the file at once and keeps its mode. A reader sees the old or the new text.
func (f *File) Write(text []byte) error {
	path, err := filepath.EvalSymlinks(f.path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	made := path + ".new"
	err = errors.Join(os.WriteFile(made, text, 0o600), os.Chmod(made, info.Mode().Perm()))
	if err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		os.Remove(made)
	}
	return err
}
