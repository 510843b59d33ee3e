package collection

import (
	"fmt"

	"cutover/internal/rehearsal"
)

// listed is a list.
type listed struct {
	c *Collection
	u *user
	// r is the resource that waits for the list, or nil.
	r *resource
	o operation
}

func (j *listed) take(a rehearsal.Answer, class class) (wrong string, checks []suspect) {
	c := j.c
	j.o.status, j.o.seq, j.o.end = uint16(a.Status), a.Seq, c.tick()
	if class == succeeded {
		c.counts[listing]++
		items, problem := c.items(a.Body)
		if wrong = problem; wrong == "" {
			c.compare(j.u, j.o, items)
		}
	}
	if j.r != nil {
		j.r.inFlight--
		checks = c.after(j.r)
	}
	return wrong, checks
}

// item is an element of a list.
type item struct {
	variable any
	value    state
	times    int
}

// items are the elements of a list, by id. Elements without an id are left out.
func (c *Collection) items(body []byte) (items map[string]item, problem string) {
	decoded, ok := rehearsal.DecodeJSON(body)
	if !ok {
		return nil, "the list is no JSON"
	}
	elements := c.Items.All.Select(decoded)
	if len(elements) > maxListed {
		c.lists = false
	}
	items = make(map[string]item, len(elements))
	for _, element := range elements {
		id := scalar(c.Items.ID.Select(element))
		if id == nil {
			continue
		}
		text := fmt.Sprint(id)
		seen := items[text]
		value := present // a list may leave it out
		switch {
		case c.Items.Value != nil:
			value = c.values.at(c.Items.Value, element)
		case c.values.texts():
			value = c.values.within(element)
		}
		items[text] = item{id, value, seen.times + 1}
	}
	return items, ""
}

// compare compares a list with what is known of the user's resources.
func (c *Collection) compare(u *user, o operation, items map[string]item) {
	made := map[state]*resource{}
	for id, r := range u.resources {
		if r.created.outcome == done && c.values.created && c.values.texts() {
			made[r.created.value] = r
		}
		item, has := items[id]
		o.value = absent
		if has {
			o.value = item.value
		}
		if item.times > 1 {
			c.fail(failure{kind: listedTwice, id: id, ack: r.created, wrong: o, operations: []operation{r.created, o}})
		}
		isNews := o.value != r.last && (o.value != present || r.last == absent) || r.inFlight > 0 && o.value != present
		if isNews && o.call >= r.since {
			r.operations = append(r.operations, o)
		}
	}
	for id, item := range items {
		if u.resources[id] == nil {
			o.value = item.value
			c.stranger(u, o, id, item, made[item.value])
		}
	}
}

// stranger takes an element that is no open resource of the user. Twin is a resource that was created with the same value.
func (c *Collection) stranger(u *user, o operation, id string, item item, twin *resource) {
	buried, isBuried := c.deleted[item.value]
	created := c.unknown[item.value]
	_, isKnown := u.ids[id]
	switch {
	case created != nil:
		delete(c.unknown, item.value)
		r := c.opened(created, item.variable, operation{action: creating, outcome: unknown, value: item.value, seq: o.seq, call: created.call, end: never})
		r.operations = append(r.operations, o)
	case twin != nil && !twin.doubled:
		twin.doubled = true
		c.fail(failure{kind: doneTwice, id: twin.id, other: id, ack: twin.created, wrong: o, operations: []operation{twin.created, o}})
	case isBuried && buried.end < o.call:
		delete(c.deleted, item.value)
		c.fail(failure{kind: back, id: id, ack: buried, wrong: o, operations: []operation{buried, o}})
	case c.private && !isKnown && !u.busy && u.last < o.call && u.lost == 0:
		u.ids[id] = true
		c.fail(failure{kind: doneTwice, id: id, wrong: o, operations: []operation{o}})
	}
}
