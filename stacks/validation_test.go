package stacks_test

import (
	"encoding/json"
	"os"
	"sync"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/internal/nightly"
)

// once is CDK's validation. It validates each distinct template once: most syntheses have
// templates that an earlier synthesis had. A finding fails the synthesis as ever.
type once struct {
	awscdk.CloudFormationValidatePlugin
	seen map[string]bool
	off  bool // it looks at nothing
}

// validation is one for all syntheses. It takes seconds to start.
var validation = sync.OnceValue(func() *once {
	plugin := &once{seen: map[string]bool{}}
	awscdk.NewCloudFormationValidatePlugin_Override(plugin, nil)
	return plugin
})

// validated has the templates of an app validated if slow tests run.
func validated(app awscdk.App) {
	validation().off = !nightly.Runs()
	awscdk.Validations_Of(app).AddPlugins(validation())
}

// Validate is called by CDK.
func (o *once) Validate(context awscdk.IPolicyValidationContext) *awscdk.PolicyValidationPluginReport {
	if o.off {
		return &awscdk.PolicyValidationPluginReport{Success: jsii.Bool(true), Violations: &[]*awscdk.PolicyViolation{}}
	}
	var rest []*awscdk.PolicyValidationStack
	for _, stack := range *context.StackTemplates() {
		text, err := os.ReadFile(*stack.TemplatePath)
		if err != nil {
			panic(err)
		}
		key, err := json.Marshal([]any{string(text), stack.AccountId, stack.Region})
		if err != nil {
			panic(err)
		}
		if !o.seen[string(key)] {
			o.seen[string(key)] = true
			rest = append(rest, stack)
		}
	}
	return o.CloudFormationValidatePlugin.Validate(&unseen{context, rest})
}

// unseen is a context with some of its templates. It embeds nothing of jsii: jsii would
// take it for the context itself.
type unseen struct {
	all    awscdk.IPolicyValidationContext
	stacks []*awscdk.PolicyValidationStack
}

func (u *unseen) AccountId() *string                               { return u.all.AccountId() }
func (u *unseen) Region() *string                                  { return u.all.Region() }
func (u *unseen) AppConstruct() constructs.IConstruct              { return u.all.AppConstruct() }
func (u *unseen) TemplatePaths() *[]*string                        { return u.all.TemplatePaths() }
func (u *unseen) StackTemplates() *[]*awscdk.PolicyValidationStack { return &u.stacks }
