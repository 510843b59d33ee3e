package model

import "strings"

// unevaluated are the types that take requests, decide about them or answer them, and that nothing
// here evaluates, by a type or the beginning of types, in the order in which they are looked up.
var unevaluated = []struct{ resourceType, does string }{
	{"AWS::WAFv2::WebACLAssociation", "puts a web ACL before a resource, and the web ACL decides which requests come through"},
	{"AWS::WAFv2::WebACL", "a web ACL decides which requests come through"},
	{"AWS::WAFRegional::WebACLAssociation", "puts a web ACL before a resource, and the web ACL decides which requests come through"},
	{"AWS::WAFRegional::WebACL", "a web ACL decides which requests come through"},
	{"AWS::WAF::WebACL", "a web ACL decides which requests come through"},
	{"AWS::NetworkFirewall::Firewall", "a network firewall decides which traffic comes through"},
	{"AWS::ElasticLoadBalancing::LoadBalancer", "a Classic Load Balancer takes requests"},
	{"AWS::ElasticLoadBalancingV2::TrustStore", "a trust store decides which clients come through"},
	{"AWS::ECS::ExpressGatewayService", "an Express gateway service takes requests and runs tasks"},
	{"AWS::ECS::TaskSet", "a task set runs tasks"},
	{"AWS::CodeDeploy::DeploymentGroup", "CodeDeploy starts tasks or instances and moves requests to them"},
	{"AWS::Serverless::Api", "an API of API Gateway takes requests"},
	{"AWS::Serverless::HttpApi", "an API of API Gateway takes requests"},
	{"AWS::Serverless::Function", "a Lambda function may take requests"},
	{"AWS::AppSync::GraphQLApi", "an API of AppSync takes requests"},
	{"AWS::Lambda::Url", "a Lambda function takes requests"},
	{"AWS::GlobalAccelerator::Accelerator", "an accelerator takes requests"},
	{"AWS::GlobalAccelerator::EndpointGroup", "an endpoint group distributes requests"},
	{"AWS::VpcLattice::Service", "a service of VPC Lattice takes requests"},
	{"AWS::VpcLattice::Rule", "a rule of VPC Lattice decides where requests go"},
	{"AWS::ServiceDiscovery::Instance", "an instance of AWS Cloud Map leads a name elsewhere than to tasks"},
	{"AWS::AppRunner::Service", "App Runner takes requests and runs containers"},
	{"AWS::EKS::Cluster", "a Kubernetes cluster runs containers"},
	{"AWS::ElasticBeanstalk::Environment", "an environment of Elastic Beanstalk takes requests and runs instances"},
	{"AWS::Lightsail::LoadBalancer", "a load balancer of Lightsail takes requests"},
	{"AWS::Lightsail::Container", "Lightsail takes requests and runs containers"},
	{EC2Instance, "an instance runs programs"},
}

// UnevaluatedTypes are the types that [Unevaluated] knows. One that ends in "::" stands for all that begin so.
func UnevaluatedTypes() (all []string) {
	for _, one := range unevaluated {
		all = append(all, one.resourceType)
	}
	return all
}

// Ended is the beginning of the types of AWS App Mesh, which AWS has ended on 2026-09-30
// ("What Is AWS App Mesh?", https://docs.aws.amazon.com/app-mesh/latest/userguide/what-is-app-mesh.html).
const Ended = "AWS::AppMesh::"

// Unevaluated says what a type does with requests that nothing here evaluates; empty for other types.
func Unevaluated(resourceType string) string {
	for _, one := range unevaluated {
		if resourceType == one.resourceType || strings.HasSuffix(one.resourceType, "::") && strings.HasPrefix(resourceType, one.resourceType) {
			return one.does
		}
	}
	return ""
}

// refusedAPIs are the types of API Gateway that change what an API does, and that nothing here evaluates. One that ends in
// "::" stands for all that begin so.
var refusedAPIs = []struct{ resourceType, why string }{
	{"AWS::ApiGateway::GatewayResponse", "answers of API Gateway itself are the default ones here"},
	{"AWS::ApiGateway::DomainName", "domain names of an API are not served here"},
	{"AWS::ApiGateway::DomainNameV2", "domain names of an API are not served here"},
	{"AWS::ApiGateway::BasePathMapping", "domain names of an API are not served here"},
	{"AWS::ApiGateway::BasePathMappingV2", "domain names of an API are not served here"},
	{"AWS::ApiGatewayV2::", "an HTTP API changes the path of a request, and a WebSocket API has none: write a REST API"},
}

// RefusedAPIs are the types that [RefusedAPI] knows.
func RefusedAPIs() (all []string) {
	for _, one := range refusedAPIs {
		all = append(all, one.resourceType)
	}
	return all
}

// RefusedAPI says why an API with a resource of a type does not run here; empty for other types.
func RefusedAPI(resourceType string) string {
	for _, one := range refusedAPIs {
		all := strings.HasSuffix(one.resourceType, "::") && strings.HasPrefix(resourceType, one.resourceType)
		if resourceType == one.resourceType || all && resourceType != APIGatewayVPCLink {
			return one.why
		}
	}
	return ""
}
