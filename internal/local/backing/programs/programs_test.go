package programs_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"cutover/internal/local/backing/programs"
	"cutover/internal/local/backing/programs/programstest"
	"cutover/internal/nightly"
)

// TestStart: a program answers when it has started, and again with the same data after a crash.
func TestStart(t *testing.T) {
	t.Parallel()
	stop := func(p *programs.Program) {
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if c, err := net.Dial("tcp", p.Address); err == nil {
			_ = c.Close()
			t.Error("the program answers after its end")
		}
	}
	for name, find := range map[string]func(context.Context, string) (programs.Found, error){
		"PostgreSQL": programs.FindPostgreSQL,
		"DynamoDB":   func(ctx context.Context, _ string) (programs.Found, error) { return programs.FindDynamoDB(ctx) },
		"queues":     func(ctx context.Context, _ string) (programs.Found, error) { return programs.FindQueues(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			if name != "queues" {
				nightly.Test(t, "it starts "+name)
			}
			t.Parallel()
			dir := t.TempDir()
			found, err := find(t.Context(), dir)
			programstest.Need(t, err)
			var before string // the URL without the port, which changes
			ends := []func(*programs.Program){(*programs.Program).Kill, stop}
			if name == "DynamoDB" { // the provider's test kills it
				ends = ends[1:]
			}
			for _, end := range ends {
				p, err := found.Start(t.Context(), dir)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(p.Kill)
				url := strings.Replace(p.URL, p.Address, "ADDRESS", 1)
				if before != "" && url != before || url == p.URL {
					t.Errorf("the URL was %s, and is %s", before, p.URL)
				}
				before = url
				c, err := net.Dial("tcp", p.Address)
				if err != nil {
					t.Fatal(err)
				}
				_ = c.Close()
				end(p)
				if err := p.Err(); err == nil || !strings.Contains(err.Error(), dir) {
					t.Errorf("the error of the end is %v", err)
				}
			}
			if err := programs.Remove(dir); err != nil {
				t.Error(err)
			}
		})
	}
}
