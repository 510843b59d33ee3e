package collection

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/step"
)

// values are what is written. Each has a number, which is its [state].
type values struct {
	Value
	// created and replaced say whether the writes have a value.
	created, replaced bool
	// mark begins the texts of this rehearsal.
	mark string
	last int64
}

func newValues(c Config) values {
	v := values{Value: c.Value, replaced: uses(c.Replace, "value"), created: uses(&c.Create, "value"), mark: fmt.Sprintf("c%06x-", rand.Uint32()&0xffffff)}
	for i := range c.Before {
		v.created = v.created || uses(&c.Before[i], "value")
	}
	return v
}

// texts says whether values are texts, each of which is sent only once.
func (v *values) texts() bool { return v.To == 0 }

// next returns a value to write.
func (v *values) next() state {
	v.last++
	if v.texts() {
		return state(v.last)
	}
	return state(v.From + v.last%(v.To-v.From+1))
}

// born returns what a resource is that was created with a value.
func (v *values) born(s state) state {
	if v.created {
		return s
	}
	return 0
}

// variable is what {{value}} stands for.
func (v *values) variable(s state) any {
	if v.texts() {
		return v.mark + strconv.FormatInt(int64(s), 36)
	}
	return json.Number(strconv.FormatInt(int64(s), 10))
}

// valueOf is the value in a body.
func (c *Collection) valueOf(body []byte) state {
	if c.Value.JSON == nil {
		return c.values.in(string(body))
	}
	decoded, _ := rehearsal.DecodeJSON(body)
	return c.values.at(c.Value.JSON, decoded)
}

// at finds the value at a place of a JSON value.
func (v *values) at(path *rehearsal.JSONPath, decoded any) state {
	found := path.Select(decoded)
	if len(found) != 1 {
		return v.none()
	}
	text := fmt.Sprint(found[0])
	if v.texts() {
		return v.in(text)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < v.From || n > v.To {
		return v.none()
	}
	return state(n)
}

// in finds the value in a text.
func (v *values) in(text string) state {
	_, after, has := strings.Cut(text, v.mark)
	if !has {
		return v.none()
	}
	end := 0
	for end < len(after) && strings.IndexByte("0123456789abcdefghijklmnopqrstuvwxyz", after[end]) >= 0 {
		end++
	}
	n, err := strconv.ParseInt(string(after[:end]), 36, 64)
	if err != nil || n < 1 || n > v.last {
		return foreign
	}
	return state(n)
}

// none is what a resource is whose content has no value.
func (v *values) none() state {
	if v.created {
		return foreign
	}
	return 0
}

// within finds the value in any text of a JSON value. It is present if there is none.
func (v *values) within(decoded any) state {
	switch d := decoded.(type) {
	case string:
		if value := v.in(d); value > 0 {
			return value
		}
	case []any:
		for _, element := range d {
			if value := v.within(element); value != present {
				return value
			}
		}
	case map[string]any:
		for _, member := range d {
			if value := v.within(member); value != present {
				return value
			}
		}
	}
	return present
}

// String is a state for people.
func (v *values) text(s state) string {
	switch {
	case s == absent:
		return "nothing"
	case s == foreign:
		return "what nobody wrote"
	case s == 0 && !v.created:
		return "what it was created with"
	}
	return fmt.Sprint(v.variable(s))
}

// variables are those of a request. An id that is not known yet is nil.
func (c *Collection) variables(id any, s state, uuid, tag string) step.Variables {
	all := step.Variables{"value": c.values.variable(s), "uuid": uuid, "etag": tag}
	if id != nil {
		all["id"] = id
	}
	return all
}

// newID returns a UUID of version 4. It needs the lock.
func (c *Collection) newID() string {
	a, b := c.random.Uint64(), c.random.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffffffffffff)
}
