package stacks

import (
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsservicediscovery"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/assets"
	"cutover/config"
	"cutover/migration"
)

// Discovery has the namespaces in which services have names. Each has a stack of its own, so that no
// deployment deletes a namespace that a service is still in: the stack leaves the app, and stays.
type Discovery struct {
	// connect has the namespace of Service Connect; nil if no service is found so.
	connect awscdk.Stack
	// mapped has the private DNS zone; nil if no service is found by AWS Cloud Map.
	mapped awscdk.Stack
	zone   awsservicediscovery.INamespace
}

// NewDiscovery adds the stacks of the namespaces that the deployment needs.
func NewDiscovery(scope constructs.Construct, d config.Deployment, s config.Settings, network *Network) *Discovery {
	found := &Discovery{}
	if config.Discovered[config.ServiceConnect](d) {
		found.connect = newStack(scope, s, discoveryStack, "Names under which Service Connect finds services", nil)
		awsservicediscovery.NewHttpNamespace(found.connect, jsii.String("ServiceConnect"), &awsservicediscovery.HttpNamespaceProps{
			Name: jsii.String(s.Env), Description: jsii.String("Names of Service Connect"),
		})
	}
	if config.Discovered[config.CloudMap](d) {
		found.mapped = newStack(scope, s, zoneStack, "DNS names under which services find each other", nil)
		found.zone = awsservicediscovery.NewPrivateDnsNamespace(found.mapped, jsii.String("Zone"), &awsservicediscovery.PrivateDnsNamespaceProps{
			Name: jsii.String(config.Zone(s.Env)), Vpc: network.VPC, Description: jsii.String("Names of tasks that are healthy"),
		})
	}
	return found
}

const (
	// portName is the name of a service's port, for Service Connect.
	portName = "http"
	// proxyStreams begins the log streams of the proxies.
	proxyStreams = "service-connect"
)

// serviceConnect lets the proxies of the tasks know the names of the namespace, and the callers' proxies
// the service. It is nil for a service without a proxy. The namespace has its name and no reference, since
// the stacks depend on each other anyway.
func (p *pair) serviceConnect(s config.Settings) *awsecs.ServiceConnectProps {
	if _, proxied := p.Deployment.Proxy(p.Service); !proxied {
		return nil
	}
	props := &awsecs.ServiceConnectProps{
		Namespace: jsii.String(s.Env),
		LogDriver: awsecs.LogDriver_AwsLogs(&awsecs.AwsLogDriverProps{
			LogGroup: p.logs, StreamPrefix: jsii.String(proxyStreams), Mode: awsecs.AwsLogDriverMode_NON_BLOCKING,
		}),
		AccessLogConfiguration: &awsecs.ServiceConnectAccessLogConfiguration{
			Format: awsecs.ServiceConnectAccessLogFormat_JSON, // without the query, which may have what is personal
		},
	}
	if of, own := p.Service.ServiceConnect(); own {
		props.Services = &[]*awsecs.ServiceConnectService{{
			PortMappingName:   jsii.String(portName),
			DiscoveryName:     jsii.String(p.Name),
			DnsName:           jsii.String(p.Name),
			Port:              jsii.Number(p.Service.Port),
			PerRequestTimeout: p.Alike.seconds(of.RequestTimeoutSeconds),
			IdleTimeout:       p.Alike.seconds(of.IdleTimeoutSeconds),
		}}
	}
	return props
}

// sizeForProxy gives a task on EC2 with a proxy a size: Service Connect needs the memory of the task
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-connect-concepts-deploy.html). On
// Fargate every task has one.
func (p *pair) sizeForProxy(definition awsecs.TaskDefinition) {
	if _, proxied := p.Deployment.Proxy(p.Service); !proxied {
		return
	}
	cpu, memory := p.Deployment.Needs(p.Service)
	cfn := definition.Node().DefaultChild().(awsecs.CfnTaskDefinition)
	cfn.SetCpu(jsii.String(strconv.Itoa(cpu)))
	cfn.SetMemory(jsii.String(strconv.Itoa(memory)))
}

// register gives the tasks of a pair a name in the private DNS zone. ECS tells AWS Cloud Map which tasks
// are healthy: HealthCheckCustomConfig on the page of [config.CloudMap].
func (p *pair) register(stack awscdk.Stack, service awsecs.BaseService) {
	of, mapped := p.Service.CloudMap()
	if !mapped {
		return
	}
	props := &awsservicediscovery.ServiceProps{
		Namespace:         p.Discovery.zone,
		Name:              jsii.String(p.Name),
		DnsTtl:            p.Alike.seconds(of.TTLSeconds),
		DnsRecordType:     awsservicediscovery.DnsRecordType_A,
		CustomHealthCheck: &awsservicediscovery.HealthCheckCustomConfig{FailureThreshold: jsii.Number(1)},
	}
	options := &awsecs.AssociateCloudMapServiceOptions{}
	if !p.AwsVPC() {
		props.DnsRecordType = awsservicediscovery.DnsRecordType_SRV
		options.ContainerPort = jsii.Number(p.Service.Port)
	}
	// Not below the ECS service, or the name would wait for all that the ECS service waits for.
	options.Service = awsservicediscovery.NewService(stack, p.construct("DnsName"), props)
	service.AssociateCloudMapService(options)
}

// addAddresses adds the variables with the addresses of the services that are called.
func (p *pair) addAddresses(s config.Settings, environment map[string]*string) {
	for _, call := range p.Deployment.CallsOf(p.Service, s.Position) {
		if url := call.URL(s.Env); url != "" {
			environment[call.Variable] = jsii.String(url)
			continue
		}
		host := p.Alike.balancers[call.Callee.LoadBalancer]
		if s.Domain != "" && call.Callee.LoadBalancer == "" {
			host = jsii.String(s.Domain)
		}
		environment[call.Variable] = awscdk.Fn_Join(jsii.String(""), &[]*string{jsii.String(s.Scheme()), host})
	}
}

// reachCallees opens the ways from the pair's tasks to those of the services that it calls by a name of
// theirs. Tasks in bridge mode have the security group of the instances: the stack of the callee, and that
// of the network, let it in once for all of them.
func (p *pair) reachCallees(stack awscdk.Stack) (ways []constructs.IDependable) {
	if !p.AwsVPC() {
		return nil
	}
	open := func(id string, group awsec2.ISecurityGroup, from, to int) {
		ways = append(ways, awsec2.NewCfnSecurityGroupIngress(stack, p.construct(id), &awsec2.CfnSecurityGroupIngressProps{
			GroupId:               group.SecurityGroupId(),
			IpProtocol:            jsii.String("tcp"),
			FromPort:              jsii.Number(from),
			ToPort:                jsii.Number(to),
			SourceSecurityGroupId: p.Alike.groups[p.Name].SecurityGroupId(),
			Description:           jsii.String("Tasks of " + p.Service.Name),
		}))
	}
	toInstances := false
	for _, call := range p.Deployment.CallsOf(p.Service, migration.Position{}) {
		if !call.Callee.Named() {
			continue
		}
		for _, callee := range call.Callee.Pairs() {
			if callee.AwsVPC() {
				open("To"+config.Pascal(callee.Name), p.Alike.groups[callee.Name], call.Callee.Port, call.Callee.Port)
			}
		}
		toInstances = toInstances || call.Callee.InBridge()
	}
	if toInstances { // "ToInstances" would be that of a service called instances
		open("InstancesIngress", p.Alike.network.InstanceSecurityGroup, firstEphemeralPort, lastEphemeralPort)
	}
	return ways
}

// instancesOf says what the instances of a deployment need to have set up.
func instancesOf(d config.Deployment) assets.Instances {
	return assets.Instances{Linked: d.Linked(), Interfaces: d.AwsVPC(), Published: d.CallsBetweenInstances()}
}

// instances says what the instances of the pair's tasks need to have set up.
func (p *pair) instances() assets.Instances {
	if p.AwsVPC() {
		return assets.Instances{Interfaces: true}
	}
	return assets.Instances{Linked: p.Service.Linked(), Published: p.Deployment.CalledFromInstances(p.Service)}
}

// calleesFirst brings the services into the order in which they are deployed.
func calleesFirst(d config.Deployment, services []config.Service) (ordered []config.Service) {
	done := map[string]bool{}
	var add func(s config.Service)
	add = func(s config.Service) {
		if done[s.Name] {
			return
		}
		done[s.Name] = true
		for _, callee := range d.Before(s) {
			for _, other := range services {
				if other.Name == callee {
					add(other)
				}
			}
		}
		ordered = append(ordered, s)
	}
	for _, s := range services {
		add(s)
	}
	return ordered
}
