package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/rehearsal"
)

// way names the fronts of the first request of a rehearsal; empty without a front.
func (s *stage) way(r *rehearsal.Request) string {
	var names []string
	fronts := s.Fronts()
	for _, first := range provider.Outermost(fronts) {
		sent := ruled(r)
		sent.Path = first.Base() + sent.Path
		for _, hop := range provider.Hops(fronts, first, sent) {
			names = append(names, hop.Front)
		}
		break
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
		if stage.API == nil || stage.CacheGB == "" {
			continue
		}
		for _, method := range stage.API.Methods {
			if settings := stage.SettingsOf(method, http.MethodGet); settings.Cached && settings.TTL > 0 && (method.Method == http.MethodGet || method.Method == "ANY") {
				lines = append(lines, fmt.Sprintf("API Gateway keeps answers to GET %s for %v: %s", method.Of.Path(), settings.TTL, after))
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
