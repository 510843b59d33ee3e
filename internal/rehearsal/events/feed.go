package events

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Thread is a row of the forum's feed.
type Thread struct {
	ID    int64  `json:"id"`
	Title string `json:"title"`
	// Author is the name of the user; nil if there is none.
	Author *string `json:"author"`
	Posts  int     `json:"posts"`
	Latest *Post   `json:"latest"`
}

// Post is the latest post of a thread: that with the highest id.
type Post struct {
	ID   int64  `json:"id"`
	User int64  `json:"user"`
	Text string `json:"text"`
}

// maxText is how many characters of the latest post the feed shows.
const maxText = 100

// Feed is what the feed has to show after the events, by id of the thread.
func Feed(fold map[string]Record) ([]Thread, error) {
	names := map[int64]string{}
	threads := map[int64]*Thread{}
	authors := map[int64]int64{}
	for _, list := range []string{"users", "threads", "posts"} { // a post needs its thread
		for _, key := range slices.Sorted(maps.Keys(fold)) {
			id, of := idOf(key)
			if of != list || fold[key].Data == nil {
				continue
			}
			var record struct {
				Name, Title, Text       string
				CreatedBy, Thread, User int64
			}
			if err := json.Unmarshal(fold[key].Data, &record); err != nil {
				return nil, fmt.Errorf("the data of %s: %w", key, err)
			}
			switch list {
			case "users":
				names[id] = record.Name
			case "threads":
				threads[id], authors[id] = &Thread{ID: id, Title: record.Title}, record.CreatedBy
			case "posts":
				if t := threads[record.Thread]; t != nil {
					t.Posts++
					if t.Latest == nil || id > t.Latest.ID {
						t.Latest = &Post{id, record.User, first(record.Text, maxText)}
					}
				}
			}
		}
	}
	var feed []Thread
	for id, t := range threads {
		if name, known := names[authors[id]]; known {
			t.Author = &name
		}
		feed = append(feed, *t)
	}
	slices.SortFunc(feed, func(a, b Thread) int { return cmp.Compare(a.ID, b.ID) })
	return feed, nil
}

// idOf is the id and the list of a key such as "posts/7"; an id of 0 is none.
func idOf(key string) (id int64, list string) {
	list, text, _ := strings.Cut(key, "/")
	id, _ = strconv.ParseInt(text, 10, 64)
	return id, list
}

func first(text string, characters int) string {
	all := []rune(text)
	return string(all[:min(len(all), characters)])
}

// SameFeed compares a feed with what it has to show. The name begins a sentence.
func SameFeed(name string, want, got []Thread) (problems []Problem) {
	rows := func(feed []Thread) map[int64]string {
		all := map[int64]string{}
		for _, t := range feed {
			text, _ := json.Marshal(t) // texts and numbers can be written
			all[t.ID] += string(text)
		}
		return all
	}
	wanted, shown := rows(want), rows(got)
	ids := slices.AppendSeq(slices.Collect(maps.Keys(wanted)), maps.Keys(shown))
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		key := fmt.Sprintf("threads/%d", id)
		switch {
		case wanted[id] == shown[id]:
		case wanted[id] == "":
			problems = append(problems, Problem{WrongView, key, fmt.Sprintf("%s shows %s, and by the events there is no such thread.", name, shown[id])})
		case shown[id] == "":
			problems = append(problems, Problem{WrongView, key, fmt.Sprintf("%s does not show %s.", name, wanted[id])})
		default:
			problems = append(problems, Problem{WrongView, key, fmt.Sprintf("%s shows %s, and the events say %s.", name, shown[id], wanted[id])})
		}
	}
	if !slices.IsSortedFunc(got, func(a, b Thread) int { return cmp.Compare(a.ID, b.ID) }) {
		problems = append(problems, Problem{WrongView, "", name + " is not in the order of the ids."})
	}
	return problems
}
