package routes

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"cutover/services/internal/records"
	"cutover/services/internal/server"
)

// modules are the other modules of the monolith, which have the records.
type modules struct{ router *server.Router }

func (m modules) lines(ctx context.Context, after string, limit int) (lines []thread, _ map[string]string, err error) {
	names := map[int64]*string{}
	for len(lines) < limit {
		var threads []struct {
			ID        int64
			Title     string
			CreatedBy int64
		}
		n := min(limit-len(lines), maxPage)
		if err := m.ask(ctx, page("/api/threads", "threads", after, n), &threads); err != nil {
			return nil, nil, err
		}
		for _, t := range threads {
			after = records.ItemID(t.ID)
			line := thread{ID: t.ID, Title: t.Title}
			name, known := names[t.CreatedBy]
			if !known {
				if name, err = m.name(ctx, t.CreatedBy); err != nil {
					return nil, nil, err
				}
				names[t.CreatedBy] = name
			}
			line.Author = name
			if line.Posts, line.Latest, err = m.posts(ctx, t.ID); err != nil {
				return nil, nil, err
			}
			lines = append(lines, line)
		}
		if len(threads) == 0 { // a page of large records is shorter than it may be
			break
		}
	}
	return lines, nil, nil
}

// name is that of a user; nil if there is none.
func (m modules) name(ctx context.Context, user int64) (*string, error) {
	var u struct{ Name *string }
	err := m.ask(ctx, fmt.Sprintf("/api/users/%d", user), &u)
	return u.Name, err
}

// posts are how many posts a thread has, and the latest of them.
func (m modules) posts(ctx context.Context, thread int64) (n int, last *latest, err error) {
	path := fmt.Sprintf("/api/posts/in-thread/%d", thread)
	for after := ""; ; {
		var posts []latest
		if err := m.ask(ctx, page(path, "in-thread#"+records.ItemID(thread), after, maxPage), &posts); err != nil {
			return 0, nil, err
		}
		for i := range posts {
			if last == nil || posts[i].ID > last.ID {
				last = &posts[i]
			}
			after = records.ItemID(posts[i].ID)
		}
		if n += len(posts); len(posts) == 0 {
			break
		}
	}
	if last != nil {
		last.Text = excerpt(last.Text)
	}
	return n, last, nil
}

// page is the path of a page of a list.
func page(path, list, after string, limit int) string {
	path = fmt.Sprintf("%s?limit=%d", path, limit)
	if after != "" {
		path += "&after=" + records.Cursor(list, after)
	}
	return path
}

// ask reads what another module answers. A record that is not there leaves the value as it is.
func (m modules) ask(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", records.WithIDs)
	response := m.router.Ask(request)
	switch response.Status() {
	case http.StatusOK:
		return json.Unmarshal(response.Bytes(), into)
	case http.StatusNoContent:
		return nil
	}
	return fmt.Errorf("GET %s: status %d", path, response.Status())
}
