package session

import (
	"context"
	"fmt"
	"net/http"

	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/step"
)

// Baseline goes through a session, with two rounds. The second call ends what the comparisons learn, and the sessions of the trial.
func (s *Session) Baseline(ctx context.Context, ask rehearsal.Ask) error {
	s.mu.Lock()
	u := &user{slot: -1, row: s.baselines % s.Users}
	s.begin(u)
	s.mu.Unlock()
	first, last := len(s.Begin), len(s.Begin)+len(s.Config.Steps)
	for _, part := range [][2]int{{0, first}, {first, last}, {first, last}, {last, len(s.steps)}} {
		for u.place = part[0]; u.place < part[1]; u.place++ {
			if err := s.learn(ctx, u, ask); err != nil {
				return fmt.Errorf("session %s: %s %w", s.Name, s.routes[u.place], err)
			}
		}
		s.mu.Lock()
		u.uuid = s.newUUID()
		s.mu.Unlock()
	}
	if s.baselines++; s.baselines == 2 {
		for _, comparison := range s.comparisons {
			comparison.Seal()
		}
		s.mu.Lock()
		s.users, s.ready, s.ended, s.counts = 0, nil, nil, counts{}
		s.mu.Unlock()
	}
	return nil
}

// learn sends a step, and learns from the answer.
func (s *Session) learn(ctx context.Context, u *user, ask rehearsal.Ask) error {
	r := s.request(u)
	a := ask(ctx, u.place, r)
	_, missing := s.take(u, r, &a)
	if err := s.comparisons[u.place].Learn(a); err != nil {
		return err
	}
	if a.Status >= http.StatusBadRequest && len(s.steps[u.place].Expect.Status) == 0 {
		return fmt.Errorf("answers with status %d, which says nothing about a session; if that is right, write status: %[1]d: %s", a.Status, rehearsal.Excerpt(a.Body))
	}
	if name, domain := step.NoPlace(r, a.Header); name != "" {
		return fmt.Errorf("gives the cookie %s for %s, which no browser takes from another host: give the steps host: %[2]s", name, domain)
	}
	return missing
}
