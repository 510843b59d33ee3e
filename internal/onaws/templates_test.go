package onaws

import (
	"maps"
	"strings"
	"testing"

	"cutover/internal/assembly"
)

func TestTemplates(t *testing.T) {
	const template = "<GetTemplateResponse><GetTemplateResult><TemplateBody>%s</TemplateBody></GetTemplateResult></GetTemplateResponse>"
	aws := &fake{answers: map[string][]string{"GetTemplate": {
		strings.Replace(template, "%s", `{&quot;Description&quot;: &quot;users&quot;}`, 1), "!ValidationError Stack with id dev-Posts does not exist", strings.Replace(template, "%s", "{}", 1)}}}
	got, err := Templates(t.Context(), aws.serve(t), []*assembly.Stack{{Name: "dev-Users"}, {Name: "dev-Posts"}, {Name: "dev-Front", Region: "us-east-1"}})
	if want := map[string]string{"dev-Users": `{"Description": "users"}`, "dev-Front": "{}"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if asked := aws.requests("GetTemplate"); !strings.Contains(asked[0], "StackName=dev-Users&TemplateStage=Original") {
		t.Errorf("AWS was asked %q", asked)
	}
	aws = &fake{answers: map[string][]string{"GetTemplate": {"!AccessDenied not you"}}}
	const want = "AWS did not answer for the stack dev-Front in us-east-1: "
	if _, err := Templates(t.Context(), aws.serve(t), []*assembly.Stack{{Name: "dev-Front", Region: "us-east-1"}}); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	none := func(string) string { return "" }
	t.Setenv("PATH", "")
	if _, err := Templates(t.Context(), none, nil); err == nil || !strings.HasPrefix(err.Error(), "AWS was not asked: there are no credentials") {
		t.Errorf("without credentials: %v", err)
	}
}
