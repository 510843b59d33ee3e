package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"cutover/internal/local"
	"cutover/internal/local/apigateway"
	"cutover/internal/model"
	"cutover/internal/plain"
	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/collection"
	"cutover/internal/rehearsal/step"
	"cutover/internal/rules"
	"cutover/internal/words"
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

// checkKept refuses a collection of which API Gateway keeps answers in some phase of a walk: a read of a kept answer misses what was
// written since, and the history of the collection would be wrong.
func checkKept(w rehearsal.Workload, walk []string, phases map[string]*phaseRules) error {
	var errs []error
	for _, source := range w.Sources {
		c, ok := source.(*collection.Collection)
		if !ok {
			continue
		}
		for _, shows := range []*step.Step{c.Read, c.List} {
			if shows == nil {
				continue
			}
			for _, phase := range walk {
				path, ttl := keeps(phases[phase].Model, ruled(shows.Route()))
				if ttl > 0 {
					errs = append(errs, fmt.Errorf("collection %s: API Gateway keeps answers to GET %s for %v in %s, so %s would not show what was written: take the cache off the path, or leave the collection out",
						c.Name, path, ttl, phase, shows.Route()))
					break
				}
			}
		}
	}
	return errors.Join(errs...)
}

// keeps says for how long API Gateway keeps the answer to a request, and of which resource; 0 if it does not.
func keeps(m *model.Model, r rules.Request) (path string, ttl time.Duration) {
	for _, stage := range m.APIStages {
		if stage.API == nil {
			continue
		}
		if method, ttl := stage.Kept(stage.API.Routes(), r.Method, r.Path); ttl > 0 {
			return method.Of.Path(), ttl
		}
	}
	return "", 0
}

// distributions returns the distributions of CloudFront with what their behaviors answered. It is empty if there are none.
func (v *view) distributions(s local.Status) string {
	var b strings.Builder
	for _, one := range s.Distributions {
		fmt.Fprintf(&b, "CloudFront %s at %s\n", plain.Line(one.Name), plain.Line(one.URL))
		rows := [][]string{{"  BEHAVIOR", "ORIGIN", "CACHE", "REQUESTS", "HITS", "MISSES", "ERRORS", "P50", "P99"}}
		for _, c := range one.Behaviors {
			row := []string{"  " + c.Pattern, c.Origin, c.Cache}
			for _, n := range []int{c.Requests, c.Hits, c.Misses, c.Errors} {
				row = append(row, fmt.Sprint(n))
			}
			rows = append(rows, append(row, c.P50.Round(100*time.Microsecond).String(), c.P99.Round(100*time.Microsecond).String()))
		}
		b.WriteString(v.table(rows) + "\n")
	}
	return b.String()
}

// apis returns the stages of REST APIs with what they answered. It is empty if there are none.
func (v *view) apis(s local.Status) string {
	var b strings.Builder
	for _, one := range s.APIs {
		signed, kept := 0, 0
		for _, route := range one.Routes {
			if route.Authorization != "NONE" {
				signed++
			}
			if route.TTL > 0 {
				kept++
			}
		}
		fmt.Fprintf(&b, "%s at %s\n", plain.Line(apiName(one)), plain.Line(one.URL))
		fmt.Fprintf(&b, "  %s", words.Count(len(one.Routes), "method"))
		if signed > 0 {
			fmt.Fprintf(&b, "; %d with AWS_IAM", signed)
		}
		if kept > 0 {
			fmt.Fprintf(&b, "; %d cached", kept)
		}
		fmt.Fprintf(&b, "\n  %s: %d with 4xx, %d with 5xx, %d throttled", words.Count(one.Requests, "request"), one.Errors4XX, one.Errors5XX, one.Throttled)
		if kept > 0 {
			fmt.Fprintf(&b, "; %s in the cache, %d not", words.Count(one.CacheHits, "hit"), one.CacheMisses)
		}
		fmt.Fprintf(&b, "; p50 %v, p99 %v\n", one.P50.Round(100*time.Microsecond), one.P99.Round(100*time.Microsecond))
		if one.Credentials != "" {
			fmt.Fprintf(&b, "  to sign requests, set AWS_SHARED_CREDENTIALS_FILE=%s\n", plain.Line(one.Credentials))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// apiName is what a stage is called.
func apiName(one apigateway.StageStatus) string {
	return fmt.Sprintf("API Gateway %s, stage %s,", one.API, one.Stage)
}
