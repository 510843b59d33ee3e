package model

// Names of resource types.
const (
	AppAutoScalingPolicy = "AWS::ApplicationAutoScaling::ScalingPolicy"
	AppAutoScalingTarget = "AWS::ApplicationAutoScaling::ScalableTarget"
	CloudFormationStack  = "AWS::CloudFormation::Stack"
	ECSCapacityProvider  = "AWS::ECS::CapacityProvider"
	ECSCluster           = "AWS::ECS::Cluster"
	ECSService           = "AWS::ECS::Service"
	ECSTaskDefinition    = "AWS::ECS::TaskDefinition"
	ELBListener          = "AWS::ElasticLoadBalancingV2::Listener"
	ELBListenerRule      = "AWS::ElasticLoadBalancingV2::ListenerRule"
	ELBLoadBalancer      = "AWS::ElasticLoadBalancingV2::LoadBalancer"
	ELBTargetGroup       = "AWS::ElasticLoadBalancingV2::TargetGroup"
	SSMParameter         = "AWS::SSM::Parameter"
)
