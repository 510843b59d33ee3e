package model

import (
	"slices"
	"strings"

	"cutover/internal/assembly"
)

// WebACL is a web ACL of AWS WAF: its rules decide which requests come through.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-wafv2-webacl.html
type WebACL struct {
	Base
	// Rules is how many rules it has. A group of rules is one.
	Rules int
	// Unmeasured are the names of the rules without metrics.
	Unmeasured []string
	// Protects are the keys of the stages of REST APIs before which it is.
	Protects []string
}

func (m *Model) readWAF() {
	m.WebACLs = all(m, WAFWebACL, func(w *WebACL, p assembly.Value) {
		for _, rule := range p.Field("Rules").List() {
			w.Rules++
			if name := rule.Field("Name").Text(""); !rule.Field("VisibilityConfig").Field("CloudWatchMetricsEnabled").Bool(false) {
				w.Unmeasured = append(w.Unmeasured, name)
			}
		}
	})
	all(m, WAFWebACLAssociation, func(_ *struct{ Base }, p assembly.Value) {
		acl, stage := elsewhere[WebACL](m, p.Field("WebACLArn"), WAFWebACL, "Arn"), m.stageOf(p.Field("ResourceArn"))
		if acl != nil && stage != nil {
			acl.Protects = append(acl.Protects, stage.Key())
		}
	})
}

// stageOf is the stage that an ARN names: arn:PARTITION:apigateway:REGION::/restapis/API/stages/NAME. It is nil if the assembly does not
// have it. The region is often known only to the deployment, so what counts is to which stage the ARN refers.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/arn-format-reference.html
func (m *Model) stageOf(arn assembly.Value) *APIStage {
	for _, s := range m.APIStages {
		if refersTo(arn.Raw(), s.Resource.LogicalID) {
			return s
		}
	}
	return nil
}

// refersTo says whether a value as it is in a template has a Ref to a resource of the template.
func refersTo(raw any, id string) bool {
	switch v := raw.(type) {
	case []any:
		return slices.ContainsFunc(v, func(one any) bool { return refersTo(one, id) })
	case map[string]any:
		if v["Ref"] == id {
			return true
		}
		for _, one := range v {
			if refersTo(one, id) {
				return true
			}
		}
	case string: // of Fn::Sub
		return strings.Contains(v, "${"+id+"}")
	}
	return false
}
