package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/migration"
)

// The instance picks the ports of containers in bridge mode from the ephemeral range
// of the ECS-optimized images
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PortMapping.html).
const firstEphemeralPort, lastEphemeralPort = 32768, 65535

// Network is where everything runs: the VPC, and who may talk to whom in it.
type Network struct {
	// Stack has what is imported, too. With a load balancer that exists, it is that of the routing.
	Stack awscdk.Stack
	VPC   awsec2.IVpc
	// LoadBalancerSecurityGroup lets the internet reach the load balancer; nil if the load balancer exists already.
	LoadBalancerSecurityGroup awsec2.SecurityGroup
	// Balancers are the security groups of the load balancers, whose requests tasks admit.
	Balancers []awsec2.IPeer
	// TaskSecurityGroups are further ones of all tasks.
	TaskSecurityGroups []awsec2.ISecurityGroup
	// InstanceSecurityGroup lets the load balancer reach the containers; nil if the instances are of a cluster that exists.
	InstanceSecurityGroup awsec2.SecurityGroup
	// VPCLinkSecurityGroup is that of API Gateway's VPC link; nil if there is none.
	VPCLinkSecurityGroup awsec2.SecurityGroup
}

// NewNetwork adds the network's stack. Only the load balancer's ports are open to the
// internet. Only the containers' ports are open to the load balancer.
func NewNetwork(scope constructs.Construct, d config.Deployment, s config.Settings) *Network {
	n := &Network{}
	if s.ListenerARN == "" {
		n.Stack = newStack(scope, s, networkStack, "VPC, and who may talk to whom in it", nil)
	} else {
		n.Stack = newRoutingStack(scope, s, "")
	}
	switch {
	case s.VPCID == "":
		n.VPC = newVPC(n.Stack, d, s)
	case s.LooksUp():
		n.VPC = awsec2.Vpc_FromLookup(n.Stack, jsii.String("existing-vpc"), &awsec2.VpcLookupOptions{VpcId: jsii.String(s.VPCID)})
	default:
		n.VPC = awsec2.Vpc_FromVpcAttributes(n.Stack, jsii.String("existing-vpc"), &awsec2.VpcAttributes{
			VpcId: jsii.String(s.VPCID), AvailabilityZones: zones(len(s.SubnetIDs)), PrivateSubnetIds: jsii.Strings(s.SubnetIDs...),
		})
		for _, subnet := range *n.VPC.PrivateSubnets() {
			awscdk.Annotations_Of(subnet).AcknowledgeWarning(jsii.String("@aws-cdk/aws-ec2:noSubnetRouteTableId"), jsii.String("Nothing here changes routes"))
		}
	}
	for _, id := range s.TaskSecurityGroupIDs {
		n.TaskSecurityGroups = append(n.TaskSecurityGroups, importGroup(n.Stack, "of-tasks", id))
	}
	for _, id := range s.LoadBalancerSecurityGroupIDs {
		n.Balancers = append(n.Balancers, awsec2.Peer_SecurityGroupId(jsii.String(id), nil))
	}
	if s.ListenerARN == "" {
		n.LoadBalancerSecurityGroup = awsec2.NewSecurityGroup(n.Stack, jsii.String("LoadBalancerSecurityGroup"), &awsec2.SecurityGroupProps{
			Vpc:              n.VPC,
			Description:      jsii.String("Load balancer: HTTP from anywhere, to the containers only"),
			AllowAllOutbound: jsii.Bool(false),
		})
		n.Balancers = []awsec2.IPeer{n.LoadBalancerSecurityGroup}
	}
	if s.ClusterName == "" && (s.ListenerARN == "" || d.On(migration.EC2)) {
		n.InstanceSecurityGroup = awsec2.NewSecurityGroup(n.Stack, jsii.String("InstanceSecurityGroup"), &awsec2.SecurityGroupProps{
			Vpc:              n.VPC,
			Description:      jsii.String("Instances: containers from the load balancer, to anywhere"),
			AllowAllOutbound: jsii.Bool(true),
		})
	}
	if s.ListenerARN == "" {
		n.admitClients(s)
	}
	if n.InstanceSecurityGroup == nil {
		return n
	}
	containers := awsec2.Port_TcpRange(jsii.Number(firstEphemeralPort), jsii.Number(lastEphemeralPort))
	if s.ListenerARN == "" {
		n.LoadBalancerSecurityGroup.AddEgressRule(n.InstanceSecurityGroup, containers, jsii.String("Containers"), nil)
	}
	for _, group := range n.Balancers {
		n.InstanceSecurityGroup.AddIngressRule(group, containers, jsii.String("Load balancer"), nil)
	}
	if d.CallsBetweenInstances() {
		n.InstanceSecurityGroup.AddIngressRule(n.InstanceSecurityGroup, containers, jsii.String("Containers in bridge mode that call each other"), nil)
	}
	return n
}

// admitClients lets clients, or what is before the load balancer, reach it.
func (n *Network) admitClients(s config.Settings) {
	ports := []float64{80}
	if s.CertificateARN != "" {
		ports = append(ports, 443)
	}
	admit := func(peer awsec2.IPeer, ports []float64, who string) {
		for _, port := range ports {
			n.LoadBalancerSecurityGroup.AddIngressRule(peer, awsec2.Port_Tcp(jsii.Number(port)), jsii.String(who), nil)
		}
	}
	switch {
	case s.CloudFrontPrefixListID != "":
		admit(awsec2.Peer_PrefixList(jsii.String(s.CloudFrontPrefixListID)), ports[len(ports)-1:], "CloudFront")
	case s.DirectAccess || s.AsksOrigin():
		reason := "The API is public: anyone may reach the ports of the load balancer's listeners, and nothing else"
		if s.Internal {
			reason = "The load balancer has addresses in the VPC only: anyone who reaches the VPC may reach the ports of its listeners"
		}
		if s.AsksOrigin() {
			reason = "CloudFront asks the public address: anyone may reach the ports of the load balancer's listeners, and its rules answer CloudFront alone"
		}
		suppress(n.LoadBalancerSecurityGroup, suppression{rule: "AwsSolutions-EC23", reason: reason})
		admit(awsec2.Peer_AnyIpv4(), ports, "Clients")
	}
	if s.Front == config.APIGateway {
		n.VPCLinkSecurityGroup = awsec2.NewSecurityGroup(n.Stack, jsii.String("VpcLinkSecurityGroup"), &awsec2.SecurityGroupProps{
			Vpc:              n.VPC,
			Description:      jsii.String("VPC link of API Gateway: to the load balancer only"),
			AllowAllOutbound: jsii.Bool(false),
		})
		last := ports[len(ports)-1:]
		admit(n.VPCLinkSecurityGroup, last, "API Gateway")
		n.VPCLinkSecurityGroup.AddEgressRule(n.LoadBalancerSecurityGroup, awsec2.Port_Tcp(jsii.Number(last[0])), jsii.String("Load balancer"), nil)
	}
}

// importGroup imports a security group that stays as it is. What is imported has ids that no service gives its constructs.
func importGroup(stack awscdk.Stack, use, id string) awsec2.ISecurityGroup {
	return awsec2.SecurityGroup_FromSecurityGroupId(stack, jsii.String(use+"-"+id), jsii.String(id), &awsec2.SecurityGroupImportOptions{Mutable: jsii.Bool(false)})
}

// zones are the first zones of the region that is deployed to. The deployment picks them. So the template is the same for every
// region, and synthesis needs no AWS.
func zones(n int) *[]*string {
	all := make([]*string, n)
	for i := range all {
		all[i] = awscdk.Fn_Select(jsii.Number(i), awscdk.Fn_GetAzs(nil))
	}
	return &all
}

// newVPC makes a VPC with a public and a private subnet in every zone.
func newVPC(scope constructs.Construct, d config.Deployment, s config.Settings) awsec2.IVpc {
	// Image layers come from S3. Through the gateway endpoint they cost nothing and
	// need no NAT gateway. The same holds for the records in DynamoDB.
	endpoints := map[string]*awsec2.GatewayVpcEndpointOptions{"S3": {Service: awsec2.GatewayVpcEndpointAwsService_S3()}}
	if len(config.StoresIn[config.DynamoDB](d)) > 0 {
		endpoints["DynamoDB"] = &awsec2.GatewayVpcEndpointOptions{Service: awsec2.GatewayVpcEndpointAwsService_DYNAMODB()}
	}
	vpc := awsec2.NewVpc(scope, jsii.String("Vpc"), &awsec2.VpcProps{
		AvailabilityZones: zones(s.Zones),
		NatGateways:       jsii.Number(s.NATGateways),
		SubnetConfiguration: &[]*awsec2.SubnetConfiguration{
			{Name: jsii.String("Public"), SubnetType: awsec2.SubnetType_PUBLIC, CidrMask: jsii.Number(24), MapPublicIpOnLaunch: jsii.Bool(false)},
			{Name: jsii.String("Private"), SubnetType: awsec2.SubnetType_PRIVATE_WITH_EGRESS, CidrMask: jsii.Number(20)},
		},
		RestrictDefaultSecurityGroup: jsii.Bool(true),
		GatewayEndpoints:             &endpoints,
	})
	// The function depends on its role twice, which cfn-lint reports.
	handler := awscdk.Stack_Of(scope).Node().FindChild(jsii.String("Custom::VpcRestrictDefaultSGCustomResourceProvider")).Node().FindChild(jsii.String("Handler"))
	handler.(awscdk.CfnResource).AddDeletionOverride(jsii.String("DependsOn"))
	// The construct's NAT gateway waits for the route to the internet gateway. This one
	// waits only for the attached internet gateway, without which it cannot be made. All
	// that uses the private subnets is in stacks that wait for the whole of this one
	// (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NatGateway.html).
	attachment := awscdk.Stack_Of(scope).GetLogicalId(vpc.Node().FindChild(jsii.String("VPCGW")).(awscdk.CfnElement))
	for _, subnet := range *vpc.PublicSubnets() {
		if gateway := subnet.Node().TryFindChild(jsii.String("NATGateway")); gateway != nil {
			gateway.(awscdk.CfnResource).AddOverride(jsii.String("DependsOn"), []*string{attachment})
		}
	}
	flowLog := vpc.AddFlowLog(jsii.String("FlowLog"), &awsec2.FlowLogOptions{
		Destination: awsec2.FlowLogDestination_ToCloudWatchLogs(newLogGroup(scope, "FlowLogs", s, nil), nil),
		// An inquiry needs refused traffic, which costs a fraction of all traffic.
		TrafficType: awsec2.FlowLogTrafficType_REJECT,
	})
	onlyForThisAccount(flowLog.IamRole())
	return vpc
}
