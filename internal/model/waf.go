package model

import "cutover/internal/assembly"

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
	all(m, WAFWebACLAssociation, func(a *struct{ Base }, p assembly.Value) {
		acl, stage := elsewhere[WebACL](m, p.Field("WebACLArn"), WAFWebACL, "Arn"), m.stageOf(a.Resource, p.Field("ResourceArn"))
		if acl != nil && stage != nil {
			acl.Protects = append(acl.Protects, stage.Key())
		}
	})
}

// stageOf is the stage that an ARN names: arn:PARTITION:apigateway:REGION::/restapis/API/stages/NAME. It is nil if the assembly does not
// have it.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/arn-format-reference.html
func (m *Model) stageOf(of *assembly.Resource, arn assembly.Value) *APIStage {
	for _, r := range m.named(of, arn.Raw()) {
		if stage, ok := m.values[r].(*APIStage); ok {
			return stage
		}
	}
	return nil
}
