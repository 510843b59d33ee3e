// Package config reads and checks what a deployment is made of: the services
// that main.go lists and the settings that come from the CDK context. It finds
// every mistake before anything is synthesized and reports all of them at once.
package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"cutover/migration"
)

// Deployment lists the services of a deployment: the monolith and the
// microservices that take its paths over.
type Deployment struct {
	Monolith Service   `json:"monolith"`
	Services []Service `json:"services"`
}

// All lists the monolith and then the microservices.
func (d Deployment) All() []Service {
	return append([]Service{d.Monolith}, d.Services...)
}

// Plan computes what the phase of the settings looks like for this deployment.
func (d Deployment) Plan(s Settings) migration.Plan {
	services := make([]migration.Service, len(d.Services))
	for i, service := range d.Services {
		services[i] = service.migration()
	}
	return migration.NewPlan(s.Phase, d.Monolith.migration(), services, s.Shift)
}

// Service describes one service. The JSON has the fields that a migration is about;
// synthesis writes them beside the assembly, for the cutover command.
type Service struct {
	// Name is the name of the service, its ECR repository, task definition family
	// and target group, and, with a capital letter, of its stack. Lower-case
	// letters, digits and single hyphens.
	Name string `json:"name"`
	// Paths are the path patterns that the load balancer sends to the service:
	// case-sensitive, "*" stands for any characters and "?" for one.
	Paths []string `json:"paths"`
	// LoadBalancer names a further load balancer that answers the service's paths,
	// at a host name of its own, instead of the deployment's first one. It exists
	// because a service names it, up to four of them: one load balancer has target
	// groups for 98 services. Lower-case letters, digits and single hyphens. The
	// monolith has none and is behind all of them. Default: the first one.
	LoadBalancer string `json:"loadBalancer,omitempty"`
	// Order places the service's listener rule among those of the other
	// microservices at its load balancer, 1 to 999, lowest first. It becomes part of the rule's
	// priority: give a new service a number of its own and never change one that
	// is deployed. The monolith has none.
	Order int `json:"order,omitempty"`
	// Dir is the directory of the service's main package, from the root of the
	// repository. Default: services/ and the name.
	Dir string `json:"-"`
	// CPU is the CPU units reserved for a task; 1024 is one vCPU. Default: 256.
	CPU int `json:"-"`
	// MemoryReservationMiB is the memory reserved for a task, in MiB: a soft
	// limit, the container may use more while the instance has more. Default: 256.
	MemoryReservationMiB int `json:"-"`
	// Tasks is the number of tasks in the phases in which the service runs; the
	// fewest if it scales. Default: 1.
	Tasks int `json:"tasks"`
	// MaxTasks is the most tasks that autoscaling runs, more than Tasks. The service
	// then scales by itself, whatever the others do. Default: it does not scale.
	MaxTasks int `json:"maxTasks,omitempty"`
	// TargetCPUPercent is how busy autoscaling keeps the tasks on average, as a
	// percentage of CPU, which they reserve. Default: 60 if the service scales.
	TargetCPUPercent int `json:"-"`
	// RequestsPerTask is how many requests a minute autoscaling lets each task have
	// on average. Default: it only looks at how busy they are.
	RequestsPerTask int `json:"-"`
	// Environment is passed to the container, beside the PORT and STOP_TIMEOUT
	// that the deployment sets. Nothing secret belongs here. Default: nothing.
	Environment map[string]string `json:"-"`
}

func (s Service) migration() migration.Service {
	return migration.Service{Name: s.Name, LoadBalancer: s.LoadBalancer, Paths: s.Paths, Order: s.Order, Tasks: s.Tasks, MaxTasks: s.MaxTasks}
}

// peak is the most tasks that the service ever runs.
func (s Service) peak() int { return max(s.Tasks, s.MaxTasks) }

// withDefaults fills in what was left out.
func (s Service) withDefaults() Service {
	if s.Dir == "" {
		s.Dir = "services/" + s.Name
	}
	if s.CPU == 0 {
		s.CPU = 256
	}
	if s.MemoryReservationMiB == 0 {
		s.MemoryReservationMiB = 256
	}
	if s.Tasks == 0 {
		s.Tasks = 1
	}
	if s.MaxTasks != 0 && s.TargetCPUPercent == 0 {
		s.TargetCPUPercent = 60
	}
	return s
}

// Settings is everything about a deployment that may differ from one
// environment to the next. Each field is the context key of the same name;
// docs/settings.md has the table.
type Settings struct {
	// Phase of the migration. Default: monolith.
	Phase migration.Phase
	// Shift is the percentage of its traffic that a microservice takes over from
	// the monolith while the phase is parallel, by service. Default: none.
	Shift map[string]int
	// Env names the environment: the prefix of every stack's name, the ECS
	// cluster's name and the first part of the SSM parameters' names. Default: dev.
	Env string
	// NamePrefix is put before the names that are unique in an account and
	// region: ECR repositories, target groups, task definition families, log
	// groups. A second environment in the same account needs one. Default: none.
	NamePrefix string
	// Arch is the processor architecture of instances and images, amd64 or arm64.
	// Default: amd64.
	Arch string
	// InstanceTypes are the EC2 instance types, the preferred one first; another is
	// used when AWS has none of those before it (instanceType, separated by commas).
	// Default: t3.small and t3.medium, or t4g.small and t4g.medium on arm64.
	InstanceTypes []string
	// MinInstances and MaxInstances bound the Auto Scaling group. Default: 2 and 4.
	MinInstances, MaxInstances int
	// Zones is the number of availability zones, 2 or 3. Default: 2.
	Zones int
	// NATGateways is the number of NAT gateways, 1 to Zones. Default: 1; Zones in
	// an environment called prod.
	NATGateways int
	// VPCID is an existing VPC to deploy into instead of a new one. It is looked
	// up at synthesis, which needs credentials once. Default: a new VPC.
	VPCID string
	// CertificateARN is the ACM certificate of the HTTPS listener. With it the
	// load balancer answers on port 443 and redirects from port 80. Default: HTTP only.
	CertificateARN string
	// AccessLogs keeps a line for every request to the load balancer, in a bucket
	// that only the log delivery can write. Default: "on" in an environment called
	// prod, "off" in every other.
	AccessLogs bool
	// DeletionProtection keeps the load balancer, and so its address, from being
	// deleted before the protection is taken away. Default: as AccessLogs.
	DeletionProtection bool
	// Alarms watches the services and the load balancer and tells an SNS topic.
	// Default: as AccessLogs.
	Alarms bool
	// Dashboard shows how the environment does, with saved queries of its logs.
	// Default: "on".
	Dashboard bool
	// LogRetentionDays is how long logs are kept. Default: 30; 365 in an
	// environment called prod.
	LogRetentionDays int
	// Retain keeps images and logs when their stacks are destroyed
	// (removalPolicy "retain"). Default: "retain" in an environment called prod,
	// "destroy" in every other.
	Retain bool
	// Gate is false when the interlock between phases is off (phaseGate "off").
	// Default: "on".
	Gate bool
	// Account and Region come from the CDK command line. They are only known,
	// and only needed, when an existing VPC has to be looked up.
	Account, Region string
}

// Production tells whether the environment's users are real: whether it is
// called prod.
func (s Settings) Production() bool { return s.Env == production }

// Name is a physical name that has to be unique in an account and region.
func (s Settings) Name(name string) string { return s.NamePrefix + name }

// Pascal turns a name, as of a service, into the beginning of a construct id or
// the end of a stack's name: "drop-traffic" becomes "DropTraffic". Two names have
// the same one if they differ by a hyphen before a digit.
func Pascal(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "-") {
		b.WriteString(strings.ToUpper(part[:min(1, len(part))]) + part[min(1, len(part)):])
	}
	return b.String()
}

// ContextFromEnvironment returns the context that the CDK command line hands to
// an app. It is empty if there is none, as when the app is run by itself.
//
// The command line passes it in CDK_CONTEXT_JSON, or in a file named by
// CONTEXT_OVERFLOW_LOCATION when it has grown too long for a variable.
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

// Load fills the defaults of the deployment in, reads the settings from the
// context and checks both. Its error joins every mistake, each a line of its
// own that names the key or service, the value and what would be allowed.
func Load(d Deployment, context map[string]any, getenv func(string) string) (Deployment, Settings, error) {
	full := Deployment{Monolith: d.Monolith.withDefaults()}
	for _, s := range d.Services {
		full.Services = append(full.Services, s.withDefaults())
	}
	r := &reader{context: context}
	settings := r.settings(full, getenv)
	problems := append(r.problems, checkServices(full, settings)...)
	return full, settings, errors.Join(problems...)
}

// Position reads the phase and the shift from a context, and nothing else. Without a
// list of services it cannot tell whether the shift names services that exist.
func Position(context map[string]any) (migration.Phase, map[string]int, error) {
	r := &reader{context: context}
	phase := r.phase()
	shift := r.shift(nil)
	return phase, shift, errors.Join(r.problems...)
}
