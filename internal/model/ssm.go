package model

import "cutover/internal/assembly"

// Parameter is a parameter of the Parameter Store.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ssm-parameter.html
type Parameter struct {
	Base
	// Name is empty where it is only known after the deployment.
	Name string
	// Value is empty where parts of it are only known after the deployment. Then Parts has them.
	Value string
	Parts assembly.Text
}

func (r *Parameter) read(p assembly.Value) {
	r.Name, _ = p.Field("Name").Mixed()
	r.Value, r.Parts = p.Field("Value").Mixed()
}
