package apitest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// number stands for a status of all kinds.
func all(status int) [3]int { return [3]int{status, status, status} }

type testCase struct {
	method, what string
	want         [3]int // by Kinds; 0: there is no such case
	ask          func(*records) request
}

// post and put are requests with the fields that change makes of those of a record.
func post(change func(*records, map[string]any) map[string]any, header ...string) func(*records) request {
	return func(r *records) request {
		return request{path: "/api/" + r.kind, body: encode(change(r, r.fields())), header: fields(header)}
	}
}

func put(change func(*records, map[string]any) map[string]any, header ...string) func(*records) request {
	return func(r *records) request {
		m := r.make()
		h := fields(header)
		if h["If-Match"] == "current" {
			h["If-Match"] = m.etag
		}
		return request{path: m.path, body: encode(change(r, m.fields)), header: h}
	}
}

func fields(header []string) map[string]string {
	fields := map[string]string{}
	for i := 0; i < len(header); i += 2 {
		fields[header[i]] = header[i+1]
	}
	return fields
}

func same(_ *records, f map[string]any) map[string]any { return f }

func text8(n int) func(*records, map[string]any) map[string]any {
	return func(r *records, f map[string]any) map[string]any {
		return with(f, text[r.kind], strings.Repeat("x", n))
	}
}

// raw is a POST with a body as it is.
func raw(body string, header ...string) func(*records) request {
	return func(r *records) request {
		return request{path: "/api/" + r.kind, body: body, header: fields(header)}
	}
}

// at is a request to a record that was made, with a part of its path behind it.
func at(header ...string) func(*records) request {
	return func(r *records) request {
		m := r.make()
		h := fields(header)
		for name, value := range h {
			if value == "current" {
				h[name] = m.etag
			}
		}
		return request{path: m.path, header: h}
	}
}

func path(rest string, header ...string) func(*records) request {
	return func(r *records) request { return request{path: "/api/" + r.kind + rest, header: fields(header)} }
}

func deleted(method string) func(*records) request {
	return func(r *records) request {
		m := r.make()
		r.send(request{method: "DELETE", path: m.path})
		return request{method: method, path: m.path, body: encode(m.fields), header: map[string]string{"If-Match": "*"}}
	}
}

// nobody is an id that no record has.
const nobody = "9007199254740991"

func toNobody(r *records, f map[string]any) map[string]any {
	return with(f, map[string]string{"threads": "createdBy", "posts": "thread"}[r.kind], json.Number(nobody))
}

// list is a request for the records that refer to another record.
func list(rest string) func(*records) request {
	return func(r *records) request {
		where := map[string]string{"threads": "/by-user/", "posts": "/in-thread/"}[r.kind]
		if rest == "" {
			return request{path: "/api/" + r.kind + where + fmt.Sprint(r.make().fields[map[string]string{"threads": "createdBy", "posts": "thread"}[r.kind]])}
		}
		return request{path: "/api/" + r.kind + where + rest}
	}
}

const (
	kib       = 1 << 10
	ofMembers = `{"text":"a","text":"b"}`
)

var cases = []testCase{
	{"GET", "the list", all(200), path("")},
	{"GET", "a page of the list", all(200), path("?limit=1")},
	{"GET", "the list has not changed: `If-None-Match` is its ETag", all(304), func(r *records) request {
		a := r.send(request{method: "GET", path: "/api/" + r.kind + "?limit=1"})
		return request{path: "/api/" + r.kind + "?limit=1", header: map[string]string{"If-None-Match": "W/" + a.header.Get("Etag")}}
	}},
	{"GET", "`limit` is not 1 to 200", all(400), path("?limit=201")},
	{"GET", "`after` is of no link", all(400), path("?after=MTIz")},
	{"GET", "the records that refer to one", [3]int{0, 200, 200}, list("")},
	{"GET", "the records that refer to an unknown id", [3]int{0, 200, 200}, list(nobody)},
	{"GET", "a record", all(200), at()},
	{"GET", "a record that has not changed: `If-None-Match` is its ETag", all(304), at("If-None-Match", "current")},
	{"GET", "`If-Match` is another ETag", all(412), at("If-Match", `"0"`)},
	{"GET", "an unknown id", all(204), path("/" + nobody)},
	{"GET", "a deleted record", all(204), deleted("GET")},
	{"GET", "not an id", [3]int{204, 204, 404}, path("/none")},
	{"HEAD", "a record", all(200), at()},

	{"POST", "a new record", all(201), post(same)},
	{"POST", "a new record, with an `Idempotency-Key`", all(201), func(r *records) request {
		r.n++
		return post(same, "Idempotency-Key", fmt.Sprint(r.run, "-", r.n))(r)
	}},
	{"POST", "the same again, with the same key", all(201), func(r *records) request {
		q := post(same, "Idempotency-Key", fmt.Sprint("again-", r.run))(r)
		q.method = "POST"
		r.send(q)
		return q
	}},
	{"POST", "another body with the same key", all(422), func(r *records) request {
		q := post(same, "Idempotency-Key", fmt.Sprint("other-", r.run))(r)
		q.method = "POST"
		r.send(q)
		q.body += " "
		return q
	}},
	{"POST", "the key is longer than 255 bytes", all(400), post(same, "Idempotency-Key", strings.Repeat("k", 256))},
	{"POST", "no body", all(400), raw("")},
	{"POST", "no JSON", all(400), raw(`{"text":`)},
	{"POST", "not UTF-8", all(400), raw("{\"text\":\"\xff\"}")},
	{"POST", "a member twice", all(400), raw(ofMembers)},
	{"POST", "no object", all(422), raw(`["text"]`)},
	{"POST", "a field is missing", all(422), post(func(r *records, f map[string]any) map[string]any { return with(f, text[r.kind], nil) })},
	{"POST", "a field is empty", all(422), post(text8(0))},
	{"POST", "a field has another type", all(422), post(func(r *records, f map[string]any) map[string]any { return with(f, text[r.kind], 1) })},
	{"POST", "an unknown field", all(422), post(func(_ *records, f map[string]any) map[string]any { return with(f, "age", 7) })},
	{"POST", "with an id", all(422), post(func(_ *records, f map[string]any) map[string]any { return with(f, "id", 7) })},
	{"POST", "refers to an unknown id", [3]int{0, 422, 422}, post(toNobody)},
	{"POST", "no `Content-Type`", all(415), post(same, "Content-Type", "")},
	{"POST", "another type than `application/json`", all(415), post(same, "Content-Type", "text/plain")},
	{"POST", "compressed", all(415), post(same, "Content-Encoding", "gzip")},
	{"POST", "a text of 300 KiB", [3]int{422, 422, 201}, post(text8(300 * kib))},
	{"POST", "a text of more than 300 KiB", all(413), post(text8(300*kib + 1))},
	{"POST", "a body of more than 320 KiB", all(413), post(text8(320 * kib))},
	{"POST", "to a record", all(405), at()},

	{"PUT", "without a condition", [3]int{200, 200, 428}, put(same)},
	{"PUT", "`If-Match` is the ETag", all(200), put(same, "If-Match", "current")},
	{"PUT", "`If-Match` is `*`", all(200), put(same, "If-Match", "*")},
	{"PUT", "with the record's id", all(200), func(r *records) request {
		m := r.make()
		return request{path: m.path, body: encode(with(m.fields, "id", m.id)), header: map[string]string{"If-Match": m.etag}}
	}},
	{"PUT", "with another id", all(422), put(func(_ *records, f map[string]any) map[string]any { return with(f, "id", 7) }, "If-Match", "current")},
	{"PUT", "`If-Match` is another ETag", all(412), put(same, "If-Match", `"0", "99"`)},
	{"PUT", "`If-Match` is a weak ETag", all(412), put(same, "If-Match", `W/"1"`)},
	{"PUT", "`If-None-Match` is `*`", all(412), put(same, "If-None-Match", "*")},
	{"PUT", "an unknown id", all(404), func(r *records) request {
		return request{path: "/api/" + r.kind + "/" + nobody, body: encode(r.fields())}
	}},
	{"PUT", "an id written in another way", all(404), func(r *records) request {
		return request{path: "/api/" + r.kind + "/01", body: encode(r.fields())}
	}},
	{"PUT", "a deleted record", all(404), deleted("PUT")},
	{"PUT", "a field is missing", all(422), put(func(r *records, f map[string]any) map[string]any { return with(f, text[r.kind], nil) }, "If-Match", "current")},
	{"PUT", "refers to an unknown id", [3]int{0, 422, 422}, put(toNobody, "If-Match", "current")},
	{"PUT", "no JSON", all(400), func(r *records) request {
		return request{path: r.make().path, body: "{", header: map[string]string{"If-Match": "*"}}
	}},
	{"PUT", "another type than `application/json`", all(415), put(same, "If-Match", "current", "Content-Type", "text/plain")},
	{"PUT", "a text of more than 300 KiB", all(413), put(text8(300*kib+1), "If-Match", "current")},
	{"PUT", "to the list", all(405), path("")},

	{"DELETE", "a record", all(204), at()},
	{"DELETE", "`If-Match` is the ETag", all(204), at("If-Match", "current")},
	{"DELETE", "`If-Match` is another ETag", all(412), at("If-Match", `"0"`)},
	{"DELETE", "other records refer to it", [3]int{409, 409, 0}, func(r *records) request {
		m := r.make()
		_, other, make := r.referring()
		other.send(request{method: "POST", path: "/api/" + other.kind, body: encode(make(m.id))})
		return request{path: m.path}
	}},
	{"DELETE", "an unknown id", all(404), path("/" + nobody)},
	{"DELETE", "a deleted record", all(404), deleted("DELETE")},
	{"DELETE", "the list", all(405), path("")},

	{"PATCH", "a record", all(405), at()},
	{"OPTIONS", "the list", all(204), path("")},
	{"TRACE", "the list", all(501), path("")},
}
