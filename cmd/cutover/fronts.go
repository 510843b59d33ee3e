package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"cutover/internal/model"
	"cutover/internal/rehearsal"
)

// way names the fronts of a request; empty without a front.
func (s *stage) way(r *rehearsal.Request) string {
	var names []string
	for _, hop := range s.Hops(ruled(r)) {
		names = append(names, hop.Front)
	}
	return strings.Join(names, " → ")
}

// kept are the answers that a front keeps in some phase, and for how long: so long a client may get an answer of the side
// before.
func kept(phases map[string]*phaseRules) (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(phases)) {
		for _, line := range keptBy(phases[name].Model) {
			if !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func keptBy(m *model.Model) (lines []string) {
	const after = "after a switch a client may get an answer of the side before for so long, and a rehearsal may compare one with itself"
	for _, stage := range m.APIStages {
		if stage.API == nil {
			continue
		}
		for _, method := range stage.API.Methods {
			if ttl := stage.Keeps(method, http.MethodGet); ttl > 0 && (method.Method == http.MethodGet || method.Method == "ANY") {
				lines = append(lines, fmt.Sprintf("API Gateway keeps answers to GET %s for %v: %s", method.Of.Path(), ttl, after))
			}
		}
	}
	for _, distribution := range m.Distributions {
		for _, b := range distribution.Behaviors {
			if b.Origin != nil && b.Origin.Bucket == nil && b.CachePolicy != nil && b.CachePolicy.Keeps() {
				lines = append(lines, fmt.Sprintf("CloudFront keeps answers to %s for up to %v: %s", b.Pattern, b.CachePolicy.MaxTTL, after))
			}
		}
	}
	return lines
}
