package stacks

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecrassets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/internal/build"
)

// addContainers adds the containers of a task: the service's own and then the sidecars.
func addContainers(stack awscdk.Stack, s config.Settings, p *pair, definition awsecs.TaskDefinition) {
	if p.logs == nil { // both pairs have it
		p.logs = newServiceLogGroup(stack, s, p.Service.Name)
	}
	all := map[string]awsecs.ContainerDefinition{}
	containers := p.Service.Containers()
	for i, c := range containers {
		all[c.Name] = addContainer(stack, s, p, definition, i, c)
		for _, volume := range c.Volumes {
			all[c.Name].AddMountPoints(&awsecs.MountPoint{
				SourceVolume:  jsii.String(volume.Name),
				ContainerPath: jsii.String(volume.Path),
				ReadOnly:      jsii.Bool(volume.ReadOnly),
			})
		}
	}
	for _, c := range containers {
		for _, on := range c.DependsOn {
			all[c.Name].AddContainerDependencies(&awsecs.ContainerDependency{
				Container: all[on.Container], Condition: awsecs.ContainerDependencyCondition(on.Condition),
			})
		}
		if p.AwsVPC() {
			continue // the containers of a task share an address
		}
		for _, name := range p.Service.Links(c) {
			all[c.Name].AddLink(all[name], nil)
		}
	}
}

// addContainer adds the container with a number. The service's own is number 0.
func addContainer(stack awscdk.Stack, s config.Settings, p *pair, definition awsecs.TaskDefinition, number int, c config.Container) awsecs.ContainerDefinition {
	id := "" // of a sidecar's constructs: the own container's were there first
	if number > 0 {
		id = config.Pascal(c.Name)
	}
	environment := map[string]*string{}
	for key, value := range c.Environment {
		environment[key] = substituted(value)
	}
	if number == 0 {
		p.addAddresses(s, environment)
		p.addStores(s, environment)
	}
	options := &awsecs.ContainerDefinitionOptions{
		Image:                image(stack, p.ServiceProps, id, c),
		Essential:            jsii.Bool(c.Essential),
		Cpu:                  jsii.Number(c.CPU),
		MemoryReservationMiB: jsii.Number(c.MemoryReservationMiB),
		// The kernel kills a container that uses more, so that it does not starve the others.
		MemoryLimitMiB: jsii.Number(c.MemoryLimitMiB),
		Environment:    &environment,
		Logging: awsecs.LogDriver_AwsLogs(&awsecs.AwsLogDriverProps{
			LogGroup:     p.logs,
			StreamPrefix: jsii.String(c.Name),
			// A full buffer drops log lines instead of stopping the service.
			Mode: awsecs.AwsLogDriverMode_NON_BLOCKING,
		}),
		StopTimeout:            p.Alike.seconds(p.Service.StopTimeoutSeconds),
		User:                   jsii.String(c.User),
		ReadonlyRootFilesystem: jsii.Bool(true),
		LinuxParameters:        p.Alike.linuxParameters,
	}
	if !p.onFargate() {
		options.DockerSecurityOptions = jsii.Strings("no-new-privileges")
		if len(c.WritablePaths) > 0 {
			options.LinuxParameters = withTmpfs(stack, id, c.WritablePaths)
		}
	}
	if ports := portMappings(c, p.AwsVPC()); len(ports) > 0 {
		if _, connected := p.Service.ServiceConnect(); connected && number == 0 {
			ports[0].Name, ports[0].AppProtocol = jsii.String(portName), awsecs.AppProtocol_Http()
		}
		options.PortMappings = &ports
	}
	if len(c.Command) > 0 {
		options.Command = jsii.Strings(c.Command...)
	}
	if c.HealthCheck[0] != config.NoHealthCheck {
		healthCheck := *p.Alike.healthCheck
		healthCheck.Command = jsii.Strings(c.HealthCheck...)
		options.HealthCheck = &healthCheck
	}
	if len(c.Ulimits) > 0 {
		var limits []*awsecs.Ulimit
		for _, limit := range c.Ulimits {
			limits = append(limits, &awsecs.Ulimit{Name: awsecs.UlimitName(strings.ToUpper(limit.Name)), SoftLimit: jsii.Number(limit.Soft), HardLimit: jsii.Number(limit.Hard)})
		}
		options.Ulimits = &limits
	}
	container := definition.AddContainer(jsii.String(c.Name), options)
	pull(definition, container, c.Image)
	readSecrets(definition, number, c)
	if p.onFargate() {
		mountEphemeral(definition, container, c)
	}
	return container
}

// portMappings publish a container's ports. With host port 0 the instance picks a port, so that
// several tasks of a service fit on one instance. A task with a network interface has ports of its own.
func portMappings(c config.Container, awsvpc bool) []*awsecs.PortMapping {
	var all []*awsecs.PortMapping
	add := func(ports []int, protocol awsecs.Protocol) {
		for _, port := range ports {
			mapping := &awsecs.PortMapping{ContainerPort: jsii.Number(port), HostPort: jsii.Number(0), Protocol: protocol}
			if awsvpc {
				mapping.HostPort = nil
			}
			all = append(all, mapping)
		}
	}
	add(c.Ports, awsecs.Protocol_TCP)
	add(c.UDPPorts, awsecs.Protocol_UDP)
	return all
}

// withTmpfs gives a container directories in memory. They have the options that Docker gives them, and
// no programs.
func withTmpfs(stack awscdk.Stack, id string, paths []config.WritablePath) awsecs.LinuxParameters {
	parameters := newLinuxParameters(stack, id+"LinuxParameters")
	for _, path := range paths {
		parameters.AddTmpfs(&awsecs.Tmpfs{
			ContainerPath: jsii.String(path.Path),
			Size:          jsii.Number(path.SizeMiB),
			MountOptions:  &[]awsecs.TmpfsMountOption{awsecs.TmpfsMountOption_NOEXEC, awsecs.TmpfsMountOption_NOSUID, awsecs.TmpfsMountOption_NODEV},
		})
	}
	return parameters
}

func image(stack awscdk.Stack, props *ServiceProps, id string, c config.Container) awsecs.ContainerImage {
	asset := &awsecrassets.DockerImageAssetProps{AssetName: jsii.String(c.Name), Platform: props.Alike.platform}
	switch image := c.Image.(type) {
	case config.GoPackage:
		asset.Directory, asset.BuildArgs = jsii.String(props.Context), props.Alike.buildArgs
	case config.Dockerfile:
		ofDockerfile(stack, image, asset)
	case config.Registry:
		return awsecs.ContainerImage_FromRegistry(jsii.String(image.Name), nil)
	}
	if props.images[c.Name] == nil {
		props.images[c.Name] = awsecrassets.NewDockerImageAsset(stack, jsii.String(id+"Image"), asset)
	}
	return awsecs.ContainerImage_FromDockerImageAsset(props.images[c.Name])
}

// ofDockerfile fills in what builds the image of a Dockerfile.
func ofDockerfile(stack awscdk.Stack, image config.Dockerfile, asset *awsecrassets.DockerImageAssetProps) {
	dir := filepath.Join(root(), filepath.FromSlash(image.Dir))
	asset.Directory = jsii.String(dir)
	asset.Exclude = jsii.Strings(leftOut(dir, *awscdk.Stage_Of(stack).Outdir())...)
	if image.File != "" {
		asset.File = jsii.String(image.File)
	}
	if image.Target != "" {
		asset.Target = jsii.String(image.Target)
	}
	if len(image.BuildArgs) > 0 {
		args := map[string]*string{}
		for name, value := range image.BuildArgs {
			args[name] = jsii.String(value)
		}
		asset.BuildArgs = &args
	}
}

// leftOut lists what is never in an image, whatever the context's .dockerignore says: the state of
// what runs on this machine, which has secrets, and the assembly itself.
func leftOut(context, assembly string) []string {
	paths := []string{".cutover"}
	if inside, err := filepath.Rel(absolute(context), absolute(assembly)); err == nil && filepath.IsLocal(inside) {
		paths = append(paths, filepath.ToSlash(inside))
	}
	return paths
}

func absolute(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		panic(err) // the working directory is gone
	}
	return dir
}

func fromECR(c config.Container) bool {
	registry, _ := c.Image.(config.Registry)
	_, is := registry.ECR()
	return is
}

// pull lets ECS pull an image of Amazon ECR that the deployment has no repository for.
func pull(definition awsecs.TaskDefinition, container awsecs.ContainerDefinition, image config.Image) {
	registry, _ := image.(config.Registry)
	arn, is := registry.ECR()
	if !is {
		return
	}
	allow(definition, arn, "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
	allow(definition, "*", "ecr:GetAuthorizationToken")
	awscdk.Annotations_Of(container).AcknowledgeWarning(jsii.String("@aws-cdk/aws-ecs:ecrImageRequiresPolicy"), jsii.String("the execution role may pull it"))
}

// readSecrets lets ECS read the secrets of a container before its start. The constructs for secrets
// would let the execution role do more than that.
func readSecrets(definition awsecs.TaskDefinition, number int, c config.Container) {
	resource := definition.Node().DefaultChild().(awsecs.CfnTaskDefinition)
	at := fmt.Sprintf("ContainerDefinitions.%d.", number)
	var secrets []map[string]any
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		secret := c.Secrets[name]
		from, readable := secret.ARN()
		if secret.Parameter != "" {
			allow(definition, readable, "ssm:GetParameters")
		} else {
			allow(definition, readable, "secretsmanager:GetSecretValue")
		}
		if secret.KMSKey != "" {
			allow(definition, secret.KMSKey, "kms:Decrypt")
		}
		if secret.Key != "" {
			from += ":" + secret.Key + "::"
		}
		secrets = append(secrets, map[string]any{"Name": name, "ValueFrom": substituted(from)})
	}
	if len(secrets) > 0 {
		resource.AddPropertyOverride(jsii.String(at+"Secrets"), secrets)
	}
	if registry, ok := c.Image.(config.Registry); ok && registry.Credentials != "" {
		from, readable := config.Secret{SecretsManager: registry.Credentials}.ARN()
		allow(definition, readable, "secretsmanager:GetSecretValue")
		resource.AddPropertyOverride(jsii.String(at+"RepositoryCredentials"), map[string]any{"CredentialsParameter": substituted(from)})
	}
}

// allow lets ECS itself do something for the containers.
func allow(definition awsecs.TaskDefinition, resource string, actions ...string) {
	definition.AddToExecutionRolePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions: jsii.Strings(actions...), Resources: &[]*string{substituted(resource)},
	}))
}

// substituted fills in the pseudo parameters of a text.
func substituted(text string) *string {
	if strings.Contains(text, "${AWS::") {
		text = strings.NewReplacer(
			"${AWS::AccountId}", *awscdk.Aws_ACCOUNT_ID(),
			"${AWS::Partition}", *awscdk.Aws_PARTITION(),
			"${AWS::Region}", *awscdk.Aws_REGION(),
		).Replace(text)
	}
	return jsii.String(text)
}

// permit lets a role do what the service's permissions say.
func permit(role awsiam.IRole, statements []config.Statement) {
	if len(statements) == 0 {
		return
	}
	var reasons []string
	for _, one := range statements {
		var resources []*string
		for _, resource := range one.Resources {
			resources = append(resources, substituted(resource))
		}
		props := &awsiam.PolicyStatementProps{Actions: jsii.Strings(one.Actions...), Resources: &resources}
		if len(one.Conditions) > 0 {
			conditions := map[string]any{}
			for operator, keys := range one.Conditions {
				values := map[string]any{}
				for key, all := range keys {
					var filled []*string
					for _, value := range all {
						filled = append(filled, substituted(value))
					}
					values[key] = filled
				}
				conditions[operator] = values
			}
			props.Conditions = &conditions
		}
		role.AddToPrincipalPolicy(awsiam.NewPolicyStatement(props))
		if one.Reason != "" {
			reasons = append(reasons, one.Reason)
		}
	}
	if len(reasons) > 0 {
		suppress(role.Node().FindChild(jsii.String("DefaultPolicy")), suppression{rule: "AwsSolutions-IAM5", reason: strings.Join(reasons, "; ")})
	}
}

func newLinuxParameters(scope constructs.Construct, id string) awsecs.LinuxParameters {
	parameters := awsecs.NewLinuxParameters(scope, jsii.String(id), nil)
	parameters.DropCapabilities(awsecs.Capability_ALL)
	return parameters
}

// buildTime tells BuildKit the time of an image that is built from a Go package.
var buildTime = map[string]*string{build.TimeArgument: jsii.String(strconv.FormatInt(build.Time.Unix(), 10))}
