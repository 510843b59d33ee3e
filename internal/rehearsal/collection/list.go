package collection

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"cutover/internal/rehearsal"
)

// listed is a list. It may have several pages.
type listed struct {
	c *Collection
	u *user
	// r is the resource that waits for the list, or nil.
	r *resource
	o operation
	// next is the path of the next page. It is empty before the first one. The page was asked for at the tick call.
	next  string
	call  int64
	pages int
	items map[string]item
}

func (j *listed) take(a rehearsal.Answer, class class) (wrong string, checks []suspect) {
	c := j.c
	if class == succeeded {
		j.o.status, j.o.seq, j.o.end = uint16(a.Status), a.Seq, c.tick()
		if wrong = j.add(a); wrong == "" && j.next != "" {
			c.pages = append(c.pages, j)
			return "", nil
		}
		c.counts[listing]++
		if wrong == "" {
			c.compare(j.u, j.o, j.items)
		}
	}
	if j.r != nil {
		j.r.inFlight--
		checks = c.after(j.r)
	}
	return wrong, checks
}

// add takes the elements of a page, and finds the next one.
func (j *listed) add(a rehearsal.Answer) (problem string) {
	items, problem := j.c.items(a.Body)
	if problem != "" {
		return problem
	}
	if j.items == nil {
		j.items = make(map[string]item, len(items))
	}
	for id, item := range items {
		item.times += j.items[id].times
		item.page = j.o
		item.page.call = j.call
		j.items[id] = item
	}
	next := nextPage(j.next, a.Header["Link"])
	switch j.pages++; {
	case next != "" && next == j.next, j.pages > maxPages:
		return fmt.Sprintf("the list has no end: page %d has the next one at %s", j.pages, next)
	case next == "" && len(j.items) > maxListed && j.pages == 1, len(j.items) > maxPaged:
		j.c.lists = false
		next = ""
	}
	j.next = next
	return ""
}

// page sends a page of a list.
func (c *Collection) page(j *listed) rehearsal.Call {
	j.call = c.tick()
	return c.call(c.at(listing), j.request(), j, j.u)
}

// request is that of the next page.
func (j *listed) request() *rehearsal.Request {
	r := j.u.Request(j.c.steps[j.c.at(listing)], nil)
	if j.next == "" {
		j.next = r.Path
	}
	r.Path = j.next
	return r
}

// nextPage sends the next page of a list.
func (c *Collection) nextPage() rehearsal.Call {
	j := c.pages[0]
	c.pages = c.pages[1:]
	return c.page(j)
}

var (
	link = regexp.MustCompile(`<([^>]*)>((?:\s*;\s*[^\s=;,]+\s*=\s*(?:"[^"]*"|[^",;\s]+))*)`)
	rel  = regexp.MustCompile(`(?i);\s*rel\s*=\s*(?:"([^"]*)"|([^",;\s]+))`)
)

// nextPage is the path of the page that header Link calls the next one, or empty. See RFC 8288, "Web Linking".
func nextPage(path string, links []string) string {
	for _, found := range link.FindAllStringSubmatch(strings.Join(links, ", "), -1) {
		relation := rel.FindStringSubmatch(found[2])
		if relation == nil || !slices.Contains(strings.Fields(strings.ToLower(relation[1]+relation[2])), "next") {
			continue
		}
		base, err := url.Parse(path)
		if err != nil {
			return ""
		}
		if target, err := base.Parse(found[1]); err == nil {
			return target.RequestURI()
		}
	}
	return ""
}

// item is an element of a list.
type item struct {
	variable any
	value    state
	times    int
	// page is the operation that read the page with the element.
	page operation
}

// items are the elements of a list, by id. Elements without an id are left out.
func (c *Collection) items(body []byte) (items map[string]item, problem string) {
	decoded, ok := rehearsal.DecodeJSON(body)
	if !ok {
		return nil, "the list is no JSON"
	}
	elements := c.Items.All.Select(decoded)
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
		items[text] = item{variable: id, value: value, times: seen.times + 1}
	}
	return items, ""
}

// compare compares a list with what is known of the user's resources. What the list has was read with its page, and what it
// does not have was not there at some moment between the first page and the last.
func (c *Collection) compare(u *user, o operation, items map[string]item) {
	made := map[state]*resource{}
	for id, r := range u.resources {
		if r.created.outcome == done && c.values.created && c.values.texts() {
			made[r.created.value] = r
		}
		item, has := items[id]
		o := o
		o.value = absent
		if has {
			o = item.page
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
			o := item.page
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
