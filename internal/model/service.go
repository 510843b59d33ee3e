package model

import (
	"time"

	"cutover/internal/assembly"
)

// Service is an ECS service. In JSON, a service has nothing of other resources but its task definition.
type Service struct {
	Base `json:"-"`
	Name string
	// Cluster is nil if not in the assembly. ClusterID is its key or the template's text.
	Cluster   *Cluster `json:"-"`
	ClusterID string
	// TaskDefinition is nil if the assembly does not have it.
	TaskDefinition *TaskDefinition
	// DesiredCount is nil where the template leaves it out: then a new service
	// has one task, and an update keeps the count.
	DesiredCount *int
	// LaunchType is EC2 (the default), FARGATE or EXTERNAL. CapacityProviders go before it.
	LaunchType        string
	CapacityProviders []string
	// Scheduling is REPLICA (the default) or DAEMON: one task on each instance, whatever DesiredCount is.
	Scheduling string
	// Controller is ECS (the default), CODE_DEPLOY or EXTERNAL. Strategy is ROLLING
	// (the default), BLUE_GREEN, LINEAR or CANARY.
	Controller, Strategy string
	// MinimumHealthyPercent and MaximumPercent bound a rolling update. Defaults: 100 and 200; of a daemon
	// 0 and 100 (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html).
	MinimumHealthyPercent, MaximumPercent int
	CircuitBreaker                        CircuitBreaker
	// Alarms says that alarms end a deployment. Default false.
	Alarms bool
	// HealthCheckGracePeriod is how long after a task has started its failed
	// health checks are ignored. Default: not at all.
	HealthCheckGracePeriod time.Duration
	// LoadBalancers are the target groups that every task is registered with.
	LoadBalancers []ServiceLoadBalancer
	// PublicAddresses gives tasks with an interface of their own public addresses. Default false.
	PublicAddresses bool
	// Connect is nil if the service is in no namespace of Service Connect.
	Connect *ServiceConnect
	// Registries are the services of AWS Cloud Map that have the tasks; at most one.
	Registries []Registry
	// Scaling is nil if the service does not scale. Other resources than the service's own say so.
	Scaling *ScalableTarget `json:"-"`
}

// Daemon is the scheduling of one task on each instance.
const Daemon = "DAEMON"

// Tasks is how many tasks a new service has without traffic.
func (s *Service) Tasks() int {
	switch {
	case s.DesiredCount != nil:
		return *s.DesiredCount
	case s.Scaling != nil:
		return s.Scaling.Min
	}
	return 1
}

// ServiceLoadBalancer registers a container's port with a target group.
type ServiceLoadBalancer struct {
	Container string
	Port      int
	// TargetGroup is nil if there is none in the assembly.
	TargetGroup *TargetGroup `json:"-"`
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecs-service.html
func (m *Model) service(s *Service, p assembly.Value) {
	s.Name = name(&s.Base, p.Field("ServiceName"))
	s.Cluster = elsewhere[Cluster](m, p.Field("Cluster"), ECSCluster, "Arn")
	s.ClusterID = p.Field("Cluster").Identity("default")
	s.TaskDefinition = refer[TaskDefinition](m, p.Field("TaskDefinition"), ECSTaskDefinition, "TaskDefinitionArn")
	if count := p.Field("DesiredCount"); count.Present() {
		s.DesiredCount = new(count.Int(0, 0, 5000))
	}
	s.LaunchType = p.Field("LaunchType").OneOf("EC2", "FARGATE", "EXTERNAL")
	for _, strategy := range p.Field("CapacityProviderStrategy").List() {
		s.CapacityProviders = append(s.CapacityProviders, strategy.Field("CapacityProvider").Identity(""))
	}
	s.Scheduling = p.Field("SchedulingStrategy").OneOf("REPLICA", Daemon)
	if s.Scheduling == Daemon {
		s.DesiredCount = nil
	}
	s.Controller = p.Field("DeploymentController").Field("Type").OneOf("ECS", "CODE_DEPLOY", "EXTERNAL")
	s.deployment(p.Field("DeploymentConfiguration"))
	s.HealthCheckGracePeriod = p.Field("HealthCheckGracePeriodSeconds").Seconds(0, 0, 2147483647)
	for _, v := range p.Field("LoadBalancers").List() {
		s.LoadBalancers = append(s.LoadBalancers, ServiceLoadBalancer{
			Container:   v.Field("ContainerName").Text(""),
			Port:        v.Field("ContainerPort").Int(0, 1, 65535),
			TargetGroup: refer[TargetGroup](m, v.Field("TargetGroupArn"), ELBTargetGroup, "TargetGroupArn"),
		})
	}
	address := p.Field("NetworkConfiguration").Field("AwsvpcConfiguration").Field("AssignPublicIp")
	s.PublicAddresses = address.OneOf("DISABLED", "ENABLED") == "ENABLED"
	s.Connect = m.connect(s, p.Field("ServiceConnectConfiguration"))
	s.Registries = m.registries(s, p.Field("ServiceRegistries"))
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-ecs-service-deploymentconfiguration.html
func (s *Service) deployment(v assembly.Value) {
	least, most := 100, 200
	if s.Scheduling == Daemon {
		least, most = 0, 100
	}
	s.MinimumHealthyPercent = v.Field("MinimumHealthyPercent").Int(least, 0, 100)
	s.MaximumPercent = v.Field("MaximumPercent").Int(most, 100, 1000)
	s.Strategy = v.Field("Strategy").OneOf("ROLLING", "BLUE_GREEN", "LINEAR", "CANARY")
	s.Alarms = v.Field("Alarms").Field("Enable").Bool(false)
	breaker := v.Field("DeploymentCircuitBreaker")
	s.CircuitBreaker = CircuitBreaker{
		Enable:     breaker.Field("Enable").Bool(false),
		Rollback:   breaker.Field("Rollback").Bool(false),
		Cumulative: !breaker.Field("ResetOnHealthyTask").Bool(true),
	}
	if threshold := breaker.Field("ThresholdConfiguration"); threshold.Present() {
		s.CircuitBreaker.Threshold = Threshold{
			Type:  threshold.Field("Type").OneOf(BoundedPercent, UnboundedPercent, Count),
			Value: threshold.Field("Value").Int(defaultThreshold, 1, 1_000_000),
		}
	}
}
