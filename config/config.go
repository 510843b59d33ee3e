// Package config reads and checks what a deployment is made of: the services that the app lists,
// and the settings in the CDK context. It finds every mistake before anything is synthesized, and
// reports all mistakes at once.
package config

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"cutover/migration"
)

// Deployment lists the services of a deployment: the monolith and the microservices that take its
// paths over.
type Deployment struct {
	Monolith Service   `json:"monolith"`
	Services []Service `json:"services"`
	// WithEvents are further microservices, which are there if the setting events is on: those that consume what others publish, or
	// have a queue of work. Default: none.
	WithEvents []Service `json:"-"`
	// RootService names the microservice that answers the root paths from the switch on. [Load]
	// takes the name from the setting of the same name. Default: none.
	RootService string `json:"rootService,omitempty"`
	// KeepRest says that the monolith keeps what no service claims. [Load] takes it from the setting
	// rest. Default: those requests are dropped once all services are switched.
	KeepRest bool `json:"keepRest,omitempty"`
	// Existing is the ARN of the target group of a monolith that exists already: nothing of it is deployed. [Load] takes it from
	// the setting monolithTargetGroupArn. Default: the monolith is a service of the deployment.
	Existing string `json:"existing,omitempty"`
	// Priorities is where the listener's rules are beside a monolith that exists. [Load] takes it from the setting rulePriorities.
	Priorities migration.Window `json:"priorities,omitzero"`
	// Requests are the paths that a rehearsal requests, as in a request line, with the query if need
	// be. Every one must be answered in all phases. Default: the beginning of each path pattern of the
	// services, up to its first wildcard.
	Requests []string `json:"requests,omitempty"`
	// StoreRoutes names the routes file that a rehearsal sends instead of Requests, with its writes, if a service
	// has a store that can be written to. The name begins at the root of the repository. Default: Requests are sent.
	StoreRoutes string `json:"storeRoutes,omitempty"`
	// EventRoutes names a routes file that a rehearsal sends beside StoreRoutes if the setting events is on. Default: none.
	EventRoutes string `json:"eventRoutes,omitempty"`
}

// All lists what is deployed: the monolith, unless it exists already, and then the microservices.
func (d Deployment) All() []Service {
	if d.Existing != "" {
		return slices.Clone(d.Services)
	}
	return append([]Service{d.Monolith}, d.Services...)
}

// Pair returns the service and the compute of a pair, by the pair's name. A group without a service has
// the defaults of one.
func (d Deployment) Pair(name string) (Service, Compute) {
	for _, service := range d.All() {
		for _, pair := range service.Pairs() {
			if pair.Name == name {
				return service, pair.Compute
			}
		}
	}
	return Service{Name: name}.withDefaults(), EC2{}
}

// Migration is what the migration needs to know of the deployment.
func (d Deployment) Migration() migration.Migration {
	m := migration.Migration{Monolith: d.Monolith.migration(), KeepRest: d.KeepRest, Existing: d.Existing != "", Priorities: d.Priorities}
	for _, service := range d.Services {
		one := service.migration()
		one.Root = service.Name == d.RootService
		m.Services = append(m.Services, one)
	}
	return m
}

// names lists the microservices by name. It is never nil.
func (d Deployment) names() []string {
	names := []string{}
	for _, service := range d.Services {
		names = append(names, service.Name)
	}
	return names
}

// Service describes one service. The JSON has the fields that a migration is about; synthesis
// writes them beside the assembly, for the cutover command.
type Service struct {
	// Name is the name of the service, its ECR repository, task definition family and target group,
	// and, with a capital letter, of its stack. Lower-case letters, digits and single hyphens.
	Name string `json:"name"`
	// Paths are the path patterns that the load balancer sends to the service: case-sensitive, "*"
	// stands for any characters and "?" for one.
	Paths []string `json:"paths,omitempty"`
	// LoadBalancer names a further load balancer, with a host name of its own, that answers the
	// service's paths. Naming it creates it. There can be four: one load balancer has target groups
	// for 98 services. Lower-case letters, digits and single hyphens. The monolith is behind all
	// load balancers and names none. Default: the first load balancer.
	LoadBalancer string `json:"loadBalancer,omitempty"`
	// Order is the place of the service's listener rule at its load balancer: 1 to 999, lowest
	// first, each number once. The order is part of the rule's priority: never change the number of
	// a deployed service. The monolith has none.
	Order int `json:"order,omitempty"`
	// Testers has headers by which testers reach the service before a share of the others does: a
	// request with each of them. Values may have wildcards. A cookie is a part of the header
	// Cookie, as in {"Cookie": {"*canary=1*"}}. The service answers testers while it has a share,
	// which may be 0 %. Default: none.
	Testers map[string][]string `json:"testers,omitempty"`
	// Routes are for a service with several listener rules, or with other conditions than paths.
	// They replace Paths, Order and Testers. Each route has a place of its own in the migration.
	// Default: one route.
	Routes []Route `json:"routes,omitempty"`
	// Compute is what the service runs on: [EC2], [Fargate] or [Lambda]. If the list names the compute of a service,
	// EC2 as well, CloudFormation refuses another one out of turn. Default: EC2.
	Compute Compute `json:"-"`
	// Calls names the services of the deployment that this one calls. For each, the service's container
	// has a variable with the address: USERS_URL for users. It may reach them, and they are deployed
	// first. Default: none.
	Calls []string `json:"-"`
	// Discovery is how callers find the service: [LoadBalancer], [ServiceConnect] or [CloudMap]. The
	// variables of callers have the first way. Further ways stay open to callers that are not deployed
	// anew yet. Default: LoadBalancer.
	Discovery []Discovery `json:"-"`
	// Next is what the service moves to. A new pair of an ECS service or a function, and a target group,
	// stands beside the old one, and the setting compute says how far the traffic is. When the old pair is retired,
	// write Next into Compute, and remove it here. A service that moves names its Compute, too.
	// Default: the service stays.
	Next Compute `json:"-"`
	// Store is where the service keeps its records: [File], [DynamoDB] or [AuroraPostgreSQL]. The monolith
	// uses the stores of all services until it is retired. Variables have the addresses: USERS_TABLE or
	// USERS_DATABASE_URL for users. Default: what the setting store says.
	Store Store `json:"-"`
	// StoreCalls are further Calls of a service that keeps its records in a database. Default: none.
	StoreCalls []string `json:"-"`
	// Image is what the service's container runs. Default: the [GoPackage] in services/NAME.
	Image Image `json:"-"`
	// Port is the TCP port that the container listens on. The variable PORT has it. Default: 3000.
	Port int `json:"-"`
	// HealthCheck says how a task shows that it is healthy. Default: GET / is answered with 200.
	HealthCheck HealthCheck `json:"-"`
	// Command replaces the command of the image (CMD). It has the arguments of a [GoPackage]. Default:
	// that of the image.
	Command []string `json:"-"`
	// CPU is the CPU units reserved for the container; 1024 is one vCPU. Default: 256.
	CPU int `json:"-"`
	// MemoryReservationMiB is the memory reserved for the container, in MiB. Tasks are placed by it. The
	// container may use more while the instance has more. Default: 256.
	MemoryReservationMiB int `json:"-"`
	// MemoryLimitMiB is the most memory of the container, in MiB, more than MemoryReservationMiB. If the
	// container uses more, the kernel kills it. Default: 512, or twice MemoryReservationMiB if that
	// is more.
	MemoryLimitMiB int `json:"-"`
	// Tasks is the number of tasks in the phases in which the service runs. If the service scales,
	// Tasks is the fewest. Default: 1.
	Tasks int `json:"tasks"`
	// MaxTasks is the most tasks that autoscaling runs, more than Tasks. Each service scales by
	// itself. Default: the service does not scale.
	MaxTasks int `json:"maxTasks,omitempty"`
	// TargetCPUPercent is the average use of the reserved CPU at which autoscaling keeps the tasks,
	// in percent. Default: 60 if the service scales.
	TargetCPUPercent int `json:"-"`
	// RequestsPerTask is the average number of requests per minute and task at which autoscaling
	// keeps the tasks. Default: autoscaling looks at the CPU only.
	RequestsPerTask int `json:"-"`
	// Environment has the container's variables, beside those that the deployment sets: PORT, and
	// STOP_TIMEOUT for a [GoPackage]. ${AWS::Region}, ${AWS::AccountId} and ${AWS::Partition} stand for
	// those of the deployment. Put no secret here: many people may read a task definition. Default:
	// none.
	Environment map[string]string `json:"-"`
	// Secrets has variables whose values are in Secrets Manager or Parameter Store, by the variable's
	// name. Default: none.
	Secrets map[string]Secret `json:"-"`
	// User is the user of the container's processes, and the group after a colon, as names or
	// numbers. The image of a [GoPackage] knows numbers only. Root fails the control ECS.20. Default:
	// 65532:65532, which own nothing.
	User string `json:"-"`
	// WritablePaths are directories in memory. Default: none. The file system is read-only.
	WritablePaths []WritablePath `json:"-"`
	// Volumes are directories on EFS. Default: none.
	Volumes []Volume `json:"-"`
	// Ulimits are resource limits. Default: those of the instance.
	Ulimits []Ulimit `json:"-"`
	// Sidecars are further containers of a task. DependsOn says for which of them the service's own
	// container waits. Default: none.
	Sidecars  []Container  `json:"-"`
	DependsOn []Dependency `json:"-"`
	// Permissions are what the containers may do on AWS: the statements of the task role. Default:
	// nothing.
	Permissions []Statement `json:"-"`
	// DeregistrationDelaySeconds is how long the requests of a task that goes away may take: the longest
	// time of a request. Default: 15.
	DeregistrationDelaySeconds int `json:"-"`
	// StopTimeoutSeconds is the time between SIGTERM and SIGKILL. Default: 5 s more than
	// DeregistrationDelaySeconds, at most 120.
	StopTimeoutSeconds int `json:"-"`
	// Alarms says when the service's alarms go off. Default: that of [Alarms].
	Alarms Alarms `json:"-"`
	// Publishes makes each change of the service's records an event on a topic of the service, with the setting events. The
	// service keeps its records in a database. Default: false.
	Publishes bool `json:"-"`
	// Unordered makes the topic a standard one of SNS: cheaper, faster, and without an order. Default: a FIFO topic, which keeps the
	// order of the events of each key.
	Unordered bool `json:"-"`
	// Subscribers are endpoints that get the events of a standard topic: "https://…", "mailto:…", or the ARN of a function.
	// Default: none.
	Subscribers []string `json:"-"`
	// Consumes says whose events the service consumes. Its queue keeps the order if all topics do. Default: none.
	Consumes []Source `json:"-"`
	// Work gives the service a queue of work, and workers. Default: none.
	Work *Work `json:"-"`
	// History makes the log of all changes what the service writes; a record is what the log adds up to. Default: false.
	History bool `json:"-"`
	// Broker is the message broker that the service uses: [RabbitMQ]. Naming it creates it, one for the environment. The variable
	// AMQP_URL has its address, with the user and the password, and is a secret. Default: none.
	Broker Broker `json:"-"`
	// API is how API Gateway treats the service's requests. Default: it passes them on.
	API API `json:"-"`
}

// Route says by one listener rule which requests go to a service. A condition that is left out takes
// everything; of its values one has to match. At least one condition must be there.
type Route struct {
	// Name tells the routes of a service apart: the place of "writes" of users has the name
	// "users/writes". One route may have none: the place has the name of the service. Lower-case
	// letters, digits and single hyphens. Never rename a deployed route.
	Name string `json:"name,omitempty"`
	// Order is the place of the route's rule at its load balancer, as [Service.Order].
	Order int `json:"order"`
	// Paths are path patterns, as [Service.Paths].
	Paths []string `json:"paths,omitempty"`
	// Hosts are patterns of the host name, in any case, with the same wildcards.
	Hosts []string `json:"hosts,omitempty"`
	// Methods are names of HTTP methods, in capitals.
	Methods []string `json:"methods,omitempty"`
	// Headers has patterns of values, by header. Each header has to match. Host has a field of its
	// own.
	Headers map[string][]string `json:"headers,omitempty"`
	// Query has patterns of values, by the pattern of a parameter's key. Both match in any case. Each
	// key has to match.
	Query map[string][]string `json:"query,omitempty"`
	// Testers has headers by which testers reach the route early, as [Service.Testers].
	Testers map[string][]string `json:"testers,omitempty"`
}

func (r Route) migration() migration.Route {
	return migration.Route{Name: r.Name, Order: r.Order, Testers: r.Testers,
		Match: migration.Match{Paths: r.Paths, Hosts: r.Hosts, Methods: r.Methods, Headers: r.Headers, Query: r.Query}}
}

// AllRoutes returns the routes. A service without Routes has one, which has no name.
func (s Service) AllRoutes() []Route {
	if len(s.Routes) > 0 {
		return s.Routes
	}
	return []Route{{Order: s.Order, Paths: s.Paths, Testers: s.Testers}}
}

func (s Service) migration() migration.Service {
	m := migration.Service{Name: s.Name, LoadBalancer: s.LoadBalancer, Tasks: s.Tasks, MaxTasks: s.MaxTasks, Compute: kindOf(s.Compute), Next: kindOf(s.Next)}
	for _, route := range s.AllRoutes() {
		m.Routes = append(m.Routes, route.migration())
	}
	return m
}

// peak is the most tasks that the service ever runs.
func (s Service) peak() int { return max(s.Tasks, s.MaxTasks) }

func (s Service) withDefaults() Service {
	s.CPU = cmp.Or(s.CPU, 256)
	s.MemoryReservationMiB = cmp.Or(s.MemoryReservationMiB, 256)
	s.MemoryLimitMiB = cmp.Or(s.MemoryLimitMiB, max(512, 2*s.MemoryReservationMiB))
	s.Tasks = cmp.Or(s.Tasks, 1)
	s.Work = s.Work.withDefaults()
	if s.MaxTasks != 0 {
		s.TargetCPUPercent = cmp.Or(s.TargetCPUPercent, 60)
	}
	s = s.withContainerDefaults()
	return s.withDiscoveryDefaults()
}

// Settings is everything about a deployment that may differ between environments. Each field is the
// context key of the same name. docs/settings.md has the table.
type Settings struct {
	// Position is the phase of the migration and the shift, or the places of the services (context
	// keys phase and shift). Default: monolith.
	migration.Position
	// Env names the environment: the prefix of every stack's name, the ECS cluster's name and the
	// first part of the SSM parameters' names. Default: dev.
	Env string
	// NamePrefix comes before the names that are unique in an account and region: ECR repositories,
	// target groups, task definition families and log groups. A second environment in the same
	// account needs a prefix. Default: none.
	NamePrefix string
	// Arch is the processor architecture of instances and images, amd64 or arm64. Default: amd64.
	Arch string
	// InstanceTypes are the EC2 instance types, the preferred one first (context key instanceType,
	// separated by commas). If AWS has no instance of a type, the next type is used. Default:
	// t3.small and t3.medium, or t4g.small and t4g.medium on arm64.
	InstanceTypes []string
	// MinInstances and MaxInstances bound the Auto Scaling group. Default: 2 and 4.
	MinInstances, MaxInstances int
	// Zones is the number of availability zones, 2 or 3. Default: 2.
	Zones int
	// NATGateways is the number of NAT gateways, 1 to Zones. Default: 1; Zones in prod.
	NATGateways int
	// VPCID is an existing VPC to deploy into. Synthesis looks the VPC up, which needs credentials
	// once, unless SubnetIDs are given. Default: a new VPC.
	VPCID string
	// SubnetIDs are private subnets of the VPC, for tasks and databases. Default: all private subnets that are found.
	SubnetIDs []string
	// ListenerARN is an existing listener of an Application Load Balancer, which gets the rules. Nothing else of it changes.
	// Default: a new load balancer.
	ListenerARN string
	// LoadBalancerSecurityGroupIDs are those of the listener's load balancer: tasks admit them.
	LoadBalancerSecurityGroupIDs []string
	// TaskSecurityGroupIDs are further security groups of all tasks. Default: none.
	TaskSecurityGroupIDs []string
	// ClusterName is an existing ECS cluster, and CapacityProvider the one of its instances, for services on EC2. Default: a new
	// cluster.
	ClusterName, CapacityProvider string
	// HostedZoneID is the hosted zone of Domain in Route 53, in which the deployment makes the record. Default: no record is made.
	HostedZoneID string
	// AccessLogsBucket is an existing bucket that keeps the access logs. Default: a new bucket.
	AccessLogsBucket string
	// CertificateARN is the ACM certificate of the HTTPS listener. With a certificate, the load
	// balancer answers on port 443 and redirects from port 80, and tells browsers to use HTTPS for a
	// year (Strict-Transport-Security). Default: HTTP only.
	CertificateARN string
	// Domain is a DNS name that leads to the first load balancer. Services that call others through it
	// use the name, with HTTPS if there is a certificate. Default: the name that AWS gives the load
	// balancer.
	Domain string
	// Front is what is before the load balancer: [APIGateway], or [NoFront]. Default: none.
	Front string
	// Internal says that the load balancers have addresses in the VPC only (context key scheme, internet-facing or
	// internal). Default: internet-facing.
	Internal bool
	// DirectAccess lets clients reach the load balancer itself, beside a front. Default: "on".
	DirectAccess bool
	// CloudFrontPrefixListID is the managed prefix list with the addresses of CloudFront, from which an internal load
	// balancer behind it gets its requests. It is needed without direct access and API Gateway. Default: none.
	CloudFrontPrefixListID string
	// UI puts a page, and CloudFront before it and the API. Default: "off".
	UI bool
	// UIDomain is the DNS name of the page, UIHostedZoneID its hosted zone in Route 53, and UICertificateARN its ACM
	// certificate in us-east-1. Default: the name that CloudFront gives it.
	UIDomain, UIHostedZoneID, UICertificateARN string
	// WAF puts a web ACL of AWS WAF before the REST API. Default: "off".
	WAF bool
	// AccessLogs keeps a line for each request to the load balancer, in a bucket that only the log
	// delivery can write. Default: "on" in prod, "off" elsewhere.
	AccessLogs bool
	// DeletionProtection protects the load balancer, and so its address, from being deleted, and
	// all stacks by their termination protection. Default: as AccessLogs.
	DeletionProtection bool
	// Alarms watches the services and the load balancer and tells an SNS topic. Default: as
	// AccessLogs.
	Alarms bool
	// AlarmEmail is the address that hears of alarms. Default: none.
	AlarmEmail string
	// Events lets services publish, consume and work, as the list says. Default: "off".
	Events bool
	// Dashboard shows how the environment does, with saved queries of its logs. Default: "on".
	Dashboard bool
	// LogRetentionDays is how long logs are kept, in days. Default: 30; 365 in prod.
	LogRetentionDays int
	// Retain keeps images and logs when their stacks are destroyed (context key removalPolicy).
	// Default: "retain" in prod, "destroy" elsewhere.
	Retain bool
	// DatabaseCapacity bounds the environment's Aurora cluster. Default: 0 to 2; 0.5 to 8 in prod.
	DatabaseCapacity Capacity
	// DataProtection keeps tables and databases: nothing deletes them, and their stack stays. Default:
	// "on".
	DataProtection bool
	// Gate is false when the interlock between phases is off (phaseGate "off"). Default: "on".
	Gate bool
	// Account and Region come from the CDK command line. Only the lookup of an existing VPC needs
	// them.
	Account, Region string
}

// Production reports whether the environment is called prod: its users are real.
func (s Settings) Production() bool { return s.Env == production }

// Name returns a physical name, which is unique in an account and region.
func (s Settings) Name(name string) string { return s.NamePrefix + name }

// Pascal turns a name into the beginning of a construct id or the end of a stack's name:
// "drop-traffic" becomes "DropTraffic". Names that differ by a hyphen before a digit give the same
// result.
func Pascal(name string) string { return migration.Pascal(name) }

// RuleID is the id of the construct of a listener rule, from the names of its service and its route
// and the rule's own ID.
func RuleID(service, route, id string) string { return Pascal(service) + Pascal(route) + id + "Rule" }

// ContextFromEnvironment returns the context that the CDK command line hands to an app. If the app
// is run by itself, the context is empty.
//
// The command line passes the context in CDK_CONTEXT_JSON. If the context is too long for a
// variable, the rest is in the file that CONTEXT_OVERFLOW_LOCATION names.
func ContextFromEnvironment(getenv func(string) string) (map[string]any, error) {
	context := map[string]any{}
	if text := getenv("CDK_CONTEXT_JSON"); text != "" {
		if err := json.Unmarshal([]byte(text), &context); err != nil {
			return nil, fmt.Errorf("CDK_CONTEXT_JSON is not a JSON object: %w", err)
		}
	}
	if file := getenv("CONTEXT_OVERFLOW_LOCATION"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read the context: %w", err)
		}
		if err := json.Unmarshal(text, &context); err != nil {
			return nil, fmt.Errorf("%s is not a JSON object: %w", file, err)
		}
	}
	return context, nil
}

// Load fills in the defaults of the deployment, reads the settings from the context, and checks
// both. The settings rootService and rest become fields of the deployment: with the list of services,
// they say where requests go. The error has a line for each mistake, with the key or service, the value and what is
// allowed.
func Load(d Deployment, context map[string]any, getenv func(string) string) (Deployment, Settings, error) {
	r := &reader{context: context}
	full := d
	full.Monolith, full.Services = d.Monolith.withDefaults(), nil
	full.RootService, full.KeepRest = r.text("rootService"), r.oneOf("rest", "drop", "monolith") == "monolith"
	if full = r.beside(full); full.Existing != "" {
		r.nameAlone(d.Monolith)
	}
	events := r.onOff("events")
	for _, s := range append(slices.Clone(d.Services), d.WithEvents...) {
		full.Services = append(full.Services, s.withDefaults())
	}
	full.WithEvents = nil
	if !events {
		full.Services = full.Services[:len(d.Services)]
		full = full.withoutEvents()
	}
	full = full.sized().stored(stores[r.oneOf("store", "file", "dynamodb", "postgres")])
	settings := r.settings(full, getenv)
	if settings.UI {
		full = full.answering()
	}
	full = full.brokered(settings, r.refuse)
	if settings.Events = events; events {
		r.eventVariables(full)
		full = full.eventful(settings)
	}
	problems := append(r.problems, checkServices(full, settings)...)
	return full, settings, errors.Join(problems...)
}

// Position reads only the position from a context. Without a list of services, it takes places and
// a shift of any service.
func Position(context map[string]any) (migration.Position, error) {
	r := &reader{context: context}
	return r.position(nil), errors.Join(r.problems...)
}

// Position is [Position] for the services of a deployment. It takes places and a shift of these only.
func (d Deployment) Position(context map[string]any) (migration.Position, error) {
	r := &reader{context: context}
	return r.position(&d), errors.Join(r.problems...)
}
