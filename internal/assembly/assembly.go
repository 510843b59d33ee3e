// Package assembly reads a cloud assembly, the directory that `cdk synth` writes (cdk.out): its
// stacks in the order they deploy, their resources, and the images and files they need.
//
// The package links no CDK and knows nothing about the app, so it reads any assembly.
//
// [Assembly.Resolve] evaluates an intrinsic function if its result is known before a deployment.
// Otherwise its error says where the function is, and why the result is not known.
//
// The formats are those of the cloud assembly schema
// (https://github.com/aws/aws-cdk-cli/tree/main/packages/%40aws-cdk/cloud-assembly-schema)
// and of CloudFormation templates
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html).
package assembly

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Assembly is what one directory holds. Goroutines may share it: it does not change after [Read].
type Assembly struct {
	Dir string
	// Stacks are in dependency order, otherwise as in the manifests. Stacks of stages are included.
	Stacks []*Stack
	// Existing describes what exists already, as [ExistingFile] has it. Nobody deploys it, so it is none of Stacks. Nil without
	// such a file.
	Existing *Stack

	arns    map[string]*Resource // those of Existing
	exports map[string][]*Output
	// unnamed says which exports have a name that only a deployment can tell.
	unnamed []string
}

// Stack returns the stack of that name, nil if there is none or if several environments have one.
func (a *Assembly) Stack(name string) *Stack {
	var found *Stack
	for _, s := range a.Stacks {
		if s.Name == name {
			if found != nil {
				return nil
			}
			found = s
		}
	}
	return found
}

// Resources returns the resources of a type of all stacks, by stack and logical id.
func (a *Assembly) Resources(resourceType string) []*Resource {
	var all []*Resource
	for _, s := range a.Stacks {
		all = append(all, s.Of(resourceType)...)
	}
	return all
}

// Stack is a CloudFormation stack and its template.
type Stack struct {
	Name string
	// Account and Region are empty if the stack leaves them to the deployment.
	Account, Region string
	DependsOn       []*Stack
	// TerminationProtection says that CloudFormation refuses to delete the stack. Default false.
	TerminationProtection bool
	// Existing says that the stack is [Assembly.Existing]. Default false.
	Existing bool

	// Template is the whole template as decoded by encoding/json, whatever the format of its file.
	Template map[string]any
	// Transforms are macros: CloudFormation changes the template with them.
	Transforms []string
	// Resources are sorted by logical id.
	Resources []*Resource
	// Parameters, Outputs, Conditions and Rules are by logical id; the latter two as decoded.
	Parameters map[string]Parameter
	Outputs    map[string]*Output
	Conditions map[string]any
	Rules      map[string]any

	// Images and Files are what must be published before the stack deploys, sorted by id.
	Images []ImageAsset
	Files  []FileAsset

	given map[string]string // values of parameters, by name
}

// Macros says which macros change the template when it is deployed, so that it is not what is read;
// nil if there are none.
func (s *Stack) Macros() error {
	var errs []error
	for _, macro := range s.Transforms {
		errs = append(errs, fmt.Errorf("%s: the macro %s changes the template when it is deployed", s.Name, macro))
	}
	return Join(errs...)
}

// Of returns the resources of a type, by logical id.
func (s *Stack) Of(resourceType string) (all []*Resource) {
	for _, r := range s.Resources {
		if r.Type == resourceType {
			all = append(all, r)
		}
	}
	return all
}

// Resource returns the resource with that logical id, nil if there is none.
func (s *Stack) Resource(logicalID string) *Resource {
	i, ok := slices.BinarySearchFunc(s.Resources, logicalID, func(r *Resource, id string) int { return strings.Compare(r.LogicalID, id) })
	if !ok {
		return nil
	}
	return s.Resources[i]
}

// Resource is one resource of a template.
type Resource struct {
	Stack     *Stack `json:"-"`
	LogicalID string `json:"-"`
	Type      string
	// Properties are as decoded by encoding/json, intrinsic functions included. Never nil.
	Properties map[string]any
	// DependsOn are logical ids of the same stack.
	DependsOn []string `json:"-"`
	// Condition decides whether the resource exists. Empty: always. See [Resource.Exists].
	Condition string
	// Both policies are empty for CloudFormation's default (Delete, for most types).
	DeletionPolicy, UpdateReplacePolicy string
	// UpdatePolicy says how CloudFormation updates what the resource has made. Nil without one.
	UpdatePolicy map[string]any `json:"-"`
	// Path is like "dev-Routing/Listener/Resource"; empty when path metadata is switched off.
	Path string `json:"-"`
	// Reasons say why a finding of cdk-nag is passed over, by its rule.
	// https://github.com/cdklabs/cdk-nag#suppressing-a-rule
	Reasons map[string]string `json:"-"`
	// Metadata is nil without any.
	Metadata map[string]any `json:"-"`
}

// String is the resource's place in the assembly: "stack/logical id".
func (r *Resource) String() string { return r.Stack.Name + "/" + r.LogicalID }

// Name is the path of the construct within the stack, or the logical id if there is no path.
func (r *Resource) Name() string {
	name := strings.TrimSuffix(strings.TrimPrefix(r.Path, r.Stack.Name+"/"), "/Resource")
	return cmp.Or(name, r.LogicalID)
}

// Errorf returns an [*Error] about a property of the resource.
func (r *Resource) Errorf(property, format string, args ...any) error {
	return &Error{Stack: r.Stack.Name, LogicalID: r.LogicalID, Property: property, Reason: fmt.Sprintf(format, args...)}
}

// Parameter is a parameter of a template.
type Parameter struct {
	// Type as CloudFormation names it, like "String" or "AWS::SSM::Parameter::Value<String>".
	Type string
	// Default is nil if the parameter has none.
	Default any
	// AllowedValues are the only values that the parameter takes. Empty: any.
	AllowedValues []any
	// AllowedPattern is a regular expression for the whole value. Empty: any.
	AllowedPattern string
	// Bounds of a number, and of how many characters a text has: numbers, or texts of numbers. Nil:
	// none.
	MinValue, MaxValue, MinLength, MaxLength any
}

// Output is an output of a template.
type Output struct {
	Stack     *Stack `json:"-"`
	LogicalID string `json:"-"`
	// Value and ExportName are as decoded. ExportName is nil if the output is not exported.
	Value       any
	ExportName  any `json:"-"`
	Description string
	// Condition names the condition on which the output exists. Empty: always.
	Condition string
}

// ImageAsset is a container image to build and push.
type ImageAsset struct {
	ID string `json:"-"`
	// Directory is the build context. Empty if Executable produces the image.
	Directory string `json:"directory"`
	// Dockerfile is relative to Directory. Empty means "Dockerfile", as [ImageAsset.File] says.
	Dockerfile string            `json:"dockerFile"`
	BuildArgs  map[string]string `json:"dockerBuildArgs"`
	// Target is the build stage. Empty means the last one.
	Target string `json:"dockerBuildTarget"`
	// Platform is like "linux/amd64". Empty means that of the building host.
	Platform string `json:"platform"`
	// NetworkMode is that of RUN instructions. Empty means the builder's default.
	NetworkMode string `json:"networkMode"`
	// BuildSecrets, BuildContexts and BuildSSH are of BuildKit, as the docker command takes them.
	BuildSecrets  map[string]string `json:"dockerBuildSecrets"`
	BuildContexts map[string]string `json:"dockerBuildContexts"`
	BuildSSH      string            `json:"dockerBuildSsh"`
	// Executable is a command that prints the name of an image it has built.
	Executable   []string           `json:"executable"`
	Destinations []ImageDestination `json:"-"`
}

// File is the path of the Dockerfile, relative to Directory.
func (a *ImageAsset) File() string { return cmp.Or(a.Dockerfile, "Dockerfile") }

// ImageDestination is where an image is pushed to. It may have placeholders like ${AWS::AccountId}.
type ImageDestination struct {
	Repository string `json:"repositoryName"`
	Tag        string `json:"imageTag"`
	// Region is empty for that of the deployment.
	Region string `json:"region"`
}

// FileAsset is a file or directory to upload to S3.
type FileAsset struct {
	ID string `json:"-"`
	// Path is the file, or the directory to be zipped. Empty if Executable produces it.
	Path string `json:"path"`
	// Packaging is "file" or "zip".
	Packaging string `json:"packaging"`
	// Executable is a command that prints the path of a file it has made.
	Executable   []string          `json:"executable"`
	Destinations []FileDestination `json:"-"`
}

// FileDestination is where a file is uploaded to. It may have placeholders like ${AWS::AccountId}.
type FileDestination struct {
	Bucket string `json:"bucketName"`
	Key    string `json:"objectKey"`
	// Region is empty for that of the deployment.
	Region string `json:"region"`
}

// Error says which place of a template cannot be used, and why.
type Error struct {
	Stack string
	// LogicalID is that of a resource, an output or a condition.
	LogicalID string
	// Property is like "Properties.DefaultActions[0].Type"; empty for the resource as a whole.
	Property string
	Reason   string
}

func (e *Error) Error() string {
	place := e.Stack
	for _, part := range []string{e.LogicalID, e.Property} {
		if part != "" {
			place += "/" + part
		}
	}
	return place + ": " + e.Reason
}
