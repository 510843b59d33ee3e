package model

import "cutover/internal/assembly"

// Repository holds container images.
type Repository struct {
	Base
	Name string
	// ScanOnPush scans each image that is pushed. Default false.
	ScanOnPush bool
	// Immutable keeps a tag with its image. Default false.
	Immutable bool
	// Lifecycle is the policy by which images are removed, as JSON. Default: none are.
	Lifecycle string
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecr-repository.html
func (r *Repository) read(p assembly.Value) {
	r.Name = name(&r.Base, p.Field("RepositoryName"))
	r.ScanOnPush = p.Field("ImageScanningConfiguration").Field("ScanOnPush").Bool(false)
	r.Immutable = p.Field("ImageTagMutability").Text("MUTABLE") == "IMMUTABLE"
	r.Lifecycle = p.Field("LifecyclePolicy").Field("LifecyclePolicyText").Text("")
}
