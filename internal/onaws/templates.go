package onaws

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"cutover/internal/assembly"
)

// Templates returns the text of the template with which each stack was deployed last, by the stack's name. A
// stack that is not there has none. A stack is looked for in its own region, or in that of [Config].
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_GetTemplate.html
func Templates(ctx context.Context, getenv func(string) string, stacks []*assembly.Stack) (texts map[string]string, err error) {
	config, err := Config(ctx, getenv, "CLOUDFORMATION")
	if err != nil {
		return nil, fmt.Errorf("AWS was not asked: %w", err)
	}
	client := cloudformation.NewFromConfig(config)
	texts = map[string]string{}
	for _, stack := range stacks {
		in := config.Region
		answer, err := client.GetTemplate(ctx, &cloudformation.GetTemplateInput{StackName: &stack.Name, TemplateStage: types.TemplateStageOriginal}, func(o *cloudformation.Options) {
			if stack.Region != "" {
				o.Region = stack.Region
			}
			in = o.Region
		})
		switch {
		case err != nil && strings.Contains(err.Error(), "does not exist"):
		case err != nil:
			return nil, fmt.Errorf("AWS did not answer for the stack %s in %s: %w", stack.Name, in, err)
		case answer.TemplateBody != nil:
			texts[stack.Name] = *answer.TemplateBody
		}
	}
	return texts, nil
}
