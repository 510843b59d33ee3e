package model

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"cutover/internal/assembly"
)

// Function is a function of Lambda.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-function.html
type Function struct {
	Base
	Name string
	// Runtime is as in provided.al2023. Empty for a container image.
	Runtime string
	// Handler is what the runtime calls. A runtime of the function's own may ignore it.
	Handler string
	// PackageType is Zip (the default) or Image.
	PackageType string
	// Architecture is x86_64 (the default) or arm64.
	Architecture string
	// Code is the file asset with the code; nil if the code is elsewhere.
	Code *assembly.FileAsset
	// Image is what a function of package type Image runs. The others are those of the image where they are empty.
	Image               Image
	EntryPoint, Command []string
	WorkingDirectory    string
	// Role is nil if it is not in the assembly.
	Role *Role
	// MemoryMiB is what an execution environment has. Default 128.
	MemoryMiB int
	// Timeout is how long an invocation may take. Default 3 s.
	Timeout time.Duration
	// Concurrency is how many invocations there may be at once, -1 (the default) for what the account
	// leaves. 0 stops all.
	Concurrency int
	Environment []Variable
	// SnapStart is None (the default) or PublishedVersions, of which snapshots are taken.
	SnapStart string
	// Invoked says that a target group of the assembly has the function, a version or an alias of it, or that a REST API
	// does, or an event source mapping of a queue or a table of the assembly.
	Invoked bool
}

// FunctionVersion is a version of a function: its code and its settings as they were when it was made.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-version.html
type FunctionVersion struct {
	Base
	// Function is nil if it is not in the assembly.
	Function *Function
}

// FunctionAlias is a name for a version of a function.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-alias.html
type FunctionAlias struct {
	Base
	Name string
	// Function is nil if it is not in the assembly.
	Function *Function
	// Version is the key of a version, its number, or $LATEST.
	Version string
	// Weights are the parts of the invocations, from 0 to 1, that go to other versions. Version has the rest.
	Weights []VersionWeight
}

// VersionWeight is the part of an alias' invocations that a version gets.
type VersionWeight struct {
	// Version is as in [FunctionAlias].
	Version string
	Weight  float64
}

// FunctionPermission lets a service of AWS or an account invoke a function.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-permission.html
type FunctionPermission struct {
	Base
	// Function is what FunctionName names, as [Model.FunctionTarget] takes it.
	Function string
	// Action is as in lambda:InvokeFunction, Principal as in elasticloadbalancing.amazonaws.com.
	Action, Principal string
	// Source is the ARN of what may invoke, in which * stands for any text. Empty with Parts, or for anything.
	Source string
	Parts  assembly.Text
	// Account is that of what may invoke; empty for any.
	Account string
}

// FunctionTarget is what a target group, or a permission, names of a function. At most one of Version and Alias
// is set. Without one of them it is the function as it is now, $LATEST.
type FunctionTarget struct {
	// Function is nil if it is not in the assembly.
	Function *Function
	Version  *FunctionVersion
	Alias    *FunctionAlias
}

// Latest is the version that is the function as it is now.
const Latest = "$LATEST"

func (m *Model) readLambda() {
	m.Functions = all(m, LambdaFunction, m.function)
	distinguish(m.Functions, "FunctionName", func(f *Function) *string { return &f.Name })
	m.FunctionVersions = all(m, LambdaVersion, func(v *FunctionVersion, p assembly.Value) {
		v.Function = m.FunctionTarget(p.Field("FunctionName").Keyed()).Function
	})
	m.FunctionAliases = all(m, LambdaAlias, func(a *FunctionAlias, p assembly.Value) {
		a.Name = p.Field("Name").Text("")
		a.Function = m.FunctionTarget(p.Field("FunctionName").Keyed()).Function
		version := func(v assembly.Value) string {
			if r := v.Elsewhere(LambdaVersion, "Version"); r != nil {
				return r.String()
			}
			return v.Text(Latest)
		}
		a.Version = version(p.Field("FunctionVersion"))
		for _, other := range p.Field("RoutingConfig").Field("AdditionalVersionWeights").List() {
			weight := VersionWeight{Version: version(other.Field("FunctionVersion").Need("a version"))}
			if number, ok := other.Field("FunctionWeight").Evaluated().(float64); ok && number >= 0 && number <= 1 {
				weight.Weight = number
			} else {
				other.Field("FunctionWeight").Refuse("expected a number from 0 to 1, found %v", other.Field("FunctionWeight").Raw())
			}
			a.Weights = append(a.Weights, weight)
		}
	})
	m.FunctionPermissions = all(m, LambdaPermission, func(f *FunctionPermission, p assembly.Value) {
		f.Function = p.Field("FunctionName").Keyed()
		f.Action, f.Principal = p.Field("Action").Text(""), p.Field("Principal").Text("")
		f.Source, f.Parts = p.Field("SourceArn").Mixed()
		f.Account, _ = p.Field("SourceAccount").Mixed()
	})
	for _, g := range m.TargetGroups {
		for _, target := range g.Targets {
			if g.TargetType != "lambda" {
				continue
			}
			if f := m.FunctionTarget(target.ID).Function; f != nil {
				f.Invoked = true
			} else if name, _ := functionName(target.ID); name != "" && m.OutsideFunction(target.ID) == nil {
				m.OutsideFunctions = append(m.OutsideFunctions, &Function{Base: g.Base, Name: name, Timeout: maxTimeout, Concurrency: -1, Invoked: true})
			}
		}
	}
}

// maxTimeout is the longest time-out of a function.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const maxTimeout = 15 * time.Minute

// functionName is the name in an ARN of a function, and the alias or the number of a version behind it. It is empty for
// any other text.
func functionName(arn string) (name, qualifier string) {
	if parts := strings.SplitN(arn, ":", 8); len(parts) > 6 && parts[0] == "arn" && parts[2] == "lambda" && parts[5] == "function" {
		return parts[6], strings.Join(parts[7:], "")
	}
	return "", ""
}

// OutsideFunction is the function that a target group names by an ARN, and that is not in the assembly; nil if there is
// none.
func (m *Model) OutsideFunction(arn string) *Function {
	name, _ := functionName(arn)
	i := slices.IndexFunc(m.OutsideFunctions, func(f *Function) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return m.OutsideFunctions[i]
}

// Outside says that the function is not in the assembly.
func (f *Function) Outside() bool { return f.Resource.Type != LambdaFunction }

// FunctionNames are the names of the functions that load balancers invoke, and of their services, in alphabetical
// order.
func (m *Model) FunctionNames() []string {
	var names []string
	for _, f := range slices.Concat(m.Functions, m.OutsideFunctions) {
		if f.Invoked {
			names = append(names, f.Name, f.Service())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (m *Model) function(f *Function, p assembly.Value) {
	f.Name = name(&f.Base, p.Field("FunctionName"))
	f.PackageType = p.Field("PackageType").OneOf("Zip", "Image")
	f.Runtime, f.Handler = p.Field("Runtime").Text(""), p.Field("Handler").Text("")
	f.Architecture = "x86_64"
	for _, architecture := range p.Field("Architectures").Texts() {
		f.Architecture = architecture // there is one
	}
	f.Role = elsewhere[Role](m, p.Field("Role"), IAMRole, "Arn")
	f.MemoryMiB = p.Field("MemorySize").Int(128, 128, 10240)
	f.Timeout = p.Field("Timeout").Seconds(3, 1, 900)
	f.Concurrency = p.Field("ReservedConcurrentExecutions").Int(-1, 0, 1_000_000)
	f.SnapStart = p.Field("SnapStart").Field("ApplyOn").Text("None")
	variables := p.Field("Environment").Field("Variables")
	for _, name := range variables.Names() {
		v := Variable{Name: name}
		v.Value, v.Parts = variables.Field(name).Mixed()
		f.Environment = append(f.Environment, v)
	}
	config := p.Field("ImageConfig")
	f.EntryPoint, f.Command, f.WorkingDirectory = config.Field("EntryPoint").Texts(), config.Field("Command").Texts(), config.Field("WorkingDirectory").Text("")
	code := p.Field("Code")
	if image := code.Field("ImageUri"); image.Present() {
		f.Image = m.image(f.Resource, image)
	}
	code.Field("S3Bucket") // of the assets
	if key := code.Field("S3Key"); key.Present() {
		f.Code = m.file(f.Resource.Stack, key.Text(""))
	}
}

// file returns the file asset with a key in the bucket of the assets. The manifest of a stack has the assets of
// its nested stacks.
func (m *Model) file(own *assembly.Stack, key string) *assembly.FileAsset {
	for _, stack := range append([]*assembly.Stack{own}, m.Assembly.Stacks...) {
		for i, asset := range stack.Files {
			if slices.ContainsFunc(asset.Destinations, func(d assembly.FileDestination) bool { return d.Key == key }) {
				return &stack.Files[i]
			}
		}
	}
	return nil
}

// FunctionTarget finds what an id names: a key, "stack/logical id"; an ARN; or a function's name. A function
// may have a colon and the name of an alias behind it.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html#using-aliases
func (m *Model) FunctionTarget(id string) (t FunctionTarget) {
	key, qualifier, _ := strings.Cut(id, ":")
	if name, behind := functionName(id); name != "" {
		key, qualifier = name, behind
	}
	for _, v := range m.FunctionVersions {
		if v.Key() == key {
			return FunctionTarget{Function: v.Function, Version: v}
		}
	}
	for _, a := range m.FunctionAliases {
		if a.Key() == key {
			return FunctionTarget{Function: a.Function, Alias: a}
		}
	}
	i := slices.IndexFunc(m.Functions, func(f *Function) bool {
		return f.Key() == key || f.Name == key && f.Resource.Properties["FunctionName"] != nil
	})
	if i < 0 {
		return FunctionTarget{}
	}
	t.Function = m.Functions[i]
	if qualifier == "" || qualifier == Latest {
		return t
	}
	for _, a := range m.FunctionAliases {
		if a.Function == t.Function && a.Name == qualifier {
			t.Alias = a
			return t
		}
	}
	return FunctionTarget{} // a version by a number that only a deployment tells, or nothing
}

// LoadBalancing is the principal of load balancers, and APIGateway that of API Gateway.
const (
	LoadBalancing = "elasticloadbalancing.amazonaws.com"
	APIGateway    = "apigateway.amazonaws.com"
)

// ByLoadBalancers says whether the permission is for load balancers to invoke a function.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
func (f *FunctionPermission) ByLoadBalancers() bool { return f.By(LoadBalancing) }

// By says whether the permission is for a principal to invoke a function.
func (f *FunctionPermission) By(principal string) bool {
	return f.Principal == principal && slices.Contains([]string{"lambda:InvokeFunction", "lambda:Invoke*", "lambda:*"}, f.Action)
}

// Unlimited says that the permission names neither what may invoke the function nor its account. The account may be a
// value that only the deployment tells.
func (f *FunctionPermission) Unlimited() bool {
	return f.Resource.Properties["SourceArn"] == nil && f.Resource.Properties["SourceAccount"] == nil
}

// Service is the service of a function: the value of its tag "service", or else its name. A secret of a function is
// given by the name of a variable, or by "service.variable".
func (f *Function) Service() string { return cmp.Or(Tag(f.Resource, "service"), f.Name) }

// SecretsVariable is the variable with the secrets that a function of ours reads when it starts, as a JSON object: by
// variable, what ValueFrom is in a task definition.
const SecretsVariable = "CUTOVER_SECRETS"

// FunctionSecrets are the secrets in the value of [SecretsVariable].
func FunctionSecrets(value string) ([]Secret, error) {
	var from map[string]string
	if err := json.Unmarshal([]byte(value), &from); err != nil {
		return nil, errors.New(`it is not a JSON object of texts, as in {"KEY": "arn:aws:ssm:REGION:ACCOUNT:parameter/key"}`)
	}
	secrets := []Secret{}
	for _, name := range slices.Sorted(maps.Keys(from)) {
		secrets = append(secrets, Secret{Name: name, From: from[name]})
	}
	return secrets, nil
}
