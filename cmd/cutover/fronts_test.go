package main

import (
	"slices"
	"testing"
	"time"

	"cutover/internal/model"
)

// What a front keeps is a gap of a rehearsal: a client may get an answer of the side before.
func TestKept(t *testing.T) {
	api := &model.RestAPI{}
	of := func(part string) *model.APIResource { return &model.APIResource{API: api, Part: part} }
	api.Methods = []*model.APIMethod{
		{API: api, Of: of("users"), Method: "GET"}, {API: api, Of: of("users"), Method: "ANY"}, {API: api, Of: of("posts"), Method: "ANY"}, {API: api, Of: of("threads"), Method: "POST"},
	}
	settings := []model.MethodSettings{{Path: "*", Method: "*"}, {Path: "/users", Method: "GET", Cached: true, TTL: time.Minute}, {Path: "/threads", Method: "POST", Cached: true, TTL: time.Minute}}
	stage := func(gb string) *model.APIStage { return &model.APIStage{API: api, CacheGB: gb, Settings: settings} }
	keeping, none := &model.CachePolicy{MaxTTL: time.Second}, &model.CachePolicy{}
	distribution := &model.Distribution{Behaviors: []*model.Behavior{
		{Pattern: "/api/threads*", Origin: &model.Origin{API: api}, CachePolicy: keeping},
		{Pattern: "/api*", Origin: &model.Origin{API: api}, CachePolicy: none},
		{Pattern: "*", Origin: &model.Origin{Bucket: &model.Bucket{}}, CachePolicy: keeping},
	}}
	const after = "after a switch a client may get an answer of the side before for so long, and a rehearsal may compare one with itself"
	for name, c := range map[string]struct {
		m    *model.Model
		want []string
	}{
		"no front":        {&model.Model{}, nil},
		"without a cache": {&model.Model{APIStages: []*model.APIStage{stage("")}}, nil},
		"with a cache":    {&model.Model{APIStages: []*model.APIStage{stage("0.5")}}, []string{"API Gateway keeps answers to GET /users for 1m0s: " + after}},
		"CloudFront":      {&model.Model{Distributions: []*model.Distribution{distribution}}, []string{"CloudFront keeps answers to /api/threads* for up to 1s: " + after}},
	} {
		phases := map[string]*phaseRules{"monolith": {Model: c.m}, "parallel": {Model: c.m}}
		if got := slices.Compact(kept(phases)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
