package model

import (
	"time"

	"cutover/internal/assembly"
)

// LoadBalancer is a load balancer.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#load-balancer-attributes
type LoadBalancer struct {
	Base
	Name string
	// Type is application (the default), network or gateway.
	Type string
	// Internal says that the load balancer has no public addresses. Default false.
	Internal bool
	// Subnets have an address each. A subnet is nil if the assembly does not have it.
	Subnets []*Subnet
	// IdleTimeout closes a connection to a client or target when idle that long. Default 60 s.
	IdleTimeout time.Duration
	// ClientKeepAlive is how long a client may use one connection. Default 1 h.
	ClientKeepAlive time.Duration
	// HTTP2 offers HTTP/2 to clients of an HTTPS listener. Default true.
	HTTP2 bool
	// DropInvalidHeaders allows only letters, digits and hyphens in names of headers. Default
	// false.
	DropInvalidHeaders bool
	// PreserveHost keeps the Host header. Default false: it gets the listener's port (80, 443:
	// none).
	PreserveHost bool
	// ForwardedFor is what happens to X-Forwarded-For: append (the default), preserve or remove.
	ForwardedFor string
	// ForwardedPort adds the client's port to its address in X-Forwarded-For. Default false.
	ForwardedPort bool
	// AccessLogs writes a line for each request to a bucket. Default false.
	AccessLogs bool
	// DeletionProtection refuses to delete the load balancer. Default false.
	DeletionProtection bool
	// DesyncMitigation of ambiguous requests is defensive (the default), strictest or monitor.
	DesyncMitigation string
	// Domains are the DNS names that lead to the load balancer, besides its own.
	Domains []string
}

// Application says that the load balancer is an Application Load Balancer.
func (lb *LoadBalancer) Application() bool { return lb.Type == "application" }

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-elasticloadbalancingv2-loadbalancer.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html
func (m *Model) loadBalancer(lb *LoadBalancer, p assembly.Value) {
	lb.read(p)
	lb.Subnets = m.subnets(p.Field("Subnets"))
	for _, mapping := range p.Field("SubnetMappings").List() {
		lb.Subnets = append(lb.Subnets, refer[Subnet](m, mapping.Field("SubnetId"), EC2Subnet, "SubnetId"))
	}
}

func (lb *LoadBalancer) read(p assembly.Value) {
	lb.Name = name(&lb.Base, p.Field("Name"))
	lb.Internal = p.Field("Scheme").Text("internet-facing") == "internal"
	lb.Type = p.Field("Type").OneOf("application", "network", "gateway")
	a := p.Field("LoadBalancerAttributes").Attributes()
	lb.IdleTimeout = a.Field("idle_timeout.timeout_seconds").Seconds(60, 1, 4000)
	lb.ClientKeepAlive = a.Field("client_keep_alive.seconds").Seconds(3600, 60, 604800)
	lb.HTTP2 = a.Field("routing.http2.enabled").Bool(true)
	lb.DropInvalidHeaders = a.Field("routing.http.drop_invalid_header_fields.enabled").Bool(false)
	lb.PreserveHost = a.Field("routing.http.preserve_host_header.enabled").Bool(false)
	lb.ForwardedFor = a.Field("routing.http.xff_header_processing.mode").OneOf("append", "preserve", "remove")
	lb.ForwardedPort = a.Field("routing.http.xff_client_port.enabled").Bool(false)
	lb.AccessLogs = a.Field("access_logs.s3.enabled").Bool(false)
	lb.DeletionProtection = a.Field("deletion_protection.enabled").Bool(false)
	lb.DesyncMitigation = a.Field("routing.http.desync_mitigation_mode").OneOf("defensive", "strictest", "monitor")
}

// DefaultLoadBalancer returns the defaults, for a listener of a load balancer from elsewhere.
func DefaultLoadBalancer(resource *assembly.Resource) *LoadBalancer {
	lb := &LoadBalancer{Base: Base{Resource: resource}}
	none := *resource
	none.Properties = nil
	lb.read(assembly.NewReader(nil, &none).Properties())
	return lb
}
