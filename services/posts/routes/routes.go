// Package routes is the posts module: its records and its part of the API.
package routes

import (
	"fmt"
	"net/http"

	"cutover/services/internal/records"
	"cutover/services/internal/server"
)

// The answers have the fields in this order. A post has no id.
type post struct {
	Thread int64  `json:"thread"` // a thread's id
	Text   string `json:"text"`
	User   int64  `json:"user"` // a user's id
}

// Posts is what a post is in a store.
var Posts = records.Kind{
	Name: "posts",
	Fields: []records.Field{
		{Name: "thread", Of: "threads", List: "in-thread"},
		{Name: "text", MaxText: records.MaxText},
		{Name: "user", Of: "users", List: "by-user"},
	},
	HidesID: true,
	Guarded: true,
}

// Of returns the module that serves the posts in the store of the environment, or else the table "posts" of a
// document of package data.
func Of(document string) server.Module { return Posts.Of(document, fromFile(document)) }

// fromFile returns the module that serves the table "posts" of a document.
func fromFile(document string) server.Module {
	return func(r *server.Router) error {
		posts, err := records.Read[post](document, "posts")
		if err != nil {
			return err
		}
		for i, p := range posts {
			if p.Thread < 1 || p.Text == "" || p.User < 1 {
				return fmt.Errorf("posts[%d] must have the id of a thread, a text and the id of a user", i)
			}
		}
		list, err := server.JSON(posts)
		if err != nil {
			return err
		}
		none, err := server.JSON([]post{})
		if err != nil {
			return err
		}
		inThread, err := groupBy(posts, func(p post) int64 { return p.Thread })
		if err != nil {
			return err
		}
		byUser, err := groupBy(posts, func(p post) int64 { return p.User })
		if err != nil {
			return err
		}

		// The posts of a thread or user that does not exist are an empty list.
		filter := func(groups map[int64]*server.Response, name string) server.Handler {
			return func(r *http.Request) *server.Response {
				if id, ok := server.PathID(r, name); ok && groups[id] != nil {
					return groups[id]
				}
				return none
			}
		}
		r.Get("/api/posts", func(*http.Request) *server.Response { return list })
		r.Get("/api/posts/in-thread/{threadId}", filter(inThread, "threadId"))
		r.Get("/api/posts/by-user/{userId}", filter(byUser, "userId"))
		return nil
	}
}

// groupBy renders the posts that have the same key, in their order.
func groupBy(posts []post, key func(post) int64) (map[int64]*server.Response, error) {
	groups := map[int64][]post{}
	for _, p := range posts {
		groups[key(p)] = append(groups[key(p)], p)
	}
	responses := make(map[int64]*server.Response, len(groups))
	for id, group := range groups {
		var err error
		if responses[id], err = server.JSON(group); err != nil {
			return nil, err
		}
	}
	return responses, nil
}
