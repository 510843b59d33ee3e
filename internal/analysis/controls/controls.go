// Package controls has AWS Security Hub's controls for the resource types of a deployment, and says
// whether an assembly meets them, as far as a template can tell.
//
// A control is met only by resources that exist. A missing resource is a finding: it may
// have another type than the one that is looked for. Optional controls are met without a resource. Those of
// instances are met if all services are on Fargate.
package controls

import (
	"fmt"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Control is a control of AWS Security Hub, or one of our own. Either templates are checked for it, or there is a reason.
type Control struct {
	// ID is Security Hub's. An ID without a "." is the name of an AWS Config rule that no control has. One of our own begins
	// with "Cutover.".
	ID string
	// Title says what the control asks for, in our words.
	Title string
	// Type is the resource type that the control is about.
	Type string
	// Setting is what makes the deployment meet the control. Empty if the default profile meets the
	// control, or nothing does. Production has the setting, unless it is Yours to give.
	Setting string
	Yours   bool
	// Reason says why the default profile does not meet the control, or why it is not checked.
	Reason string
	// Optional is when a deployment has resources of the type, like "a service has volumes". Empty: a deployment always has some.
	Optional string

	check check // nil if the control is argued
}

// Argued reports whether no template is checked for the control: Reason has the argument.
func (c Control) Argued() bool { return c.check == nil }

// URL is the address of the control's documentation.
func (c Control) URL() string {
	service, number, ok := strings.Cut(strings.ToLower(c.ID), ".")
	if service == "cutover" {
		return "#controls-of-our-own"
	}
	if !ok {
		return "https://docs.aws.amazon.com/config/latest/developerguide/" + service + ".html"
	}
	return fmt.Sprintf("https://docs.aws.amazon.com/securityhub/latest/userguide/%s-controls.html#%[1]s-%s", service, number)
}

// Check returns what does not meet the control, nothing if all does or if the control is argued.
func (c Control) Check(m *model.Model) []Finding {
	if c.Argued() || c.Optional != "" && len(m.Assembly.Resources(c.Type)) == 0 || slices.Contains(ofInstances, c.Type) && onFargate(m) {
		return nil
	}
	r := &report{Model: m}
	c.check(r)
	if err := assembly.Join(r.unknown...); err != nil {
		r.findings = append(r.findings, Finding{Problem: "cannot be told from the template: " + err.Error()})
	}
	return r.findings
}

// ofInstances are the types of which there is nothing without instances.
var ofInstances = []string{
	model.EC2AutoScalingGroup, model.EC2Instance, model.EC2LaunchConfiguration, model.EC2LaunchTemplate, model.EC2Volume, model.ECSCapacityProvider,
}

// onFargate says whether there are services and no instances, because all services are on Fargate.
func onFargate(m *model.Model) bool {
	if len(m.Services) == 0 || len(m.AutoScalingGroups)+len(m.Instances)+len(m.LaunchTemplates) > 0 {
		return false
	}
	return !slices.ContainsFunc(m.Services, func(s *model.Service) bool {
		on, _ := m.Fargate(s)
		return on == nil
	})
}

// Unlisted returns the resource types of an assembly that [All] says nothing about, although Security
// Hub may have controls for them.
func Unlisted(m *model.Model) []string {
	listed := map[string]bool{}
	for _, c := range All {
		listed[c.Type] = true
	}
	var unlisted []string
	for _, stack := range m.Assembly.Stacks {
		for _, r := range stack.Resources {
			if !listed[r.Type] && !model.WithoutControls(r.Type) && !slices.Contains(unlisted, r.Type) {
				unlisted = append(unlisted, r.Type)
			}
		}
	}
	return unlisted
}

// Finding is one thing that does not meet a control.
type Finding struct {
	// Resource is "stack/logical id", or the name of a stack; empty when a resource is missing.
	Resource string
	Problem  string
}

func (f Finding) String() string {
	if f.Resource == "" {
		return f.Problem
	}
	return f.Resource + " " + f.Problem
}

// check adds to a report what does not meet a control.
type check func(*report)

type report struct {
	*model.Model
	findings []Finding
	unknown  []error
}

// resource is any value of the model.
type resource interface {
	Key() string
	Problem(properties ...string) error
}

// find adds a finding unless the problem is "". It was looked for by these properties.
func (r *report) find(v resource, problem string, properties ...string) {
	if problem != "" {
		r.findings = append(r.findings, Finding{Resource: v.Key(), Problem: problem})
	}
	r.unknown = append(r.unknown, v.Problem(properties...))
}

// resources returns the resources of a type. That there is none is a finding.
func (r *report) resources(resourceType string) []*assembly.Resource {
	found := r.Assembly.Resources(resourceType)
	if len(found) == 0 {
		r.findings = append(r.findings, Finding{Problem: "there is no " + resourceType})
	}
	return found
}

// some returns the resources of a type as the model's values.
func some[T resource](r *report, resourceType string) []T {
	var found []T
	for _, one := range r.resources(resourceType) {
		if v, ok := r.Value(one).(T); ok {
			found = append(found, v)
		}
	}
	return found
}

// every makes the check of every resource of a type by a function, which looks at these properties.
func every[T resource](resourceType string, problem func(T) string, properties ...string) check {
	return func(r *report) {
		for _, v := range some[T](r, resourceType) {
			r.find(v, problem(v), properties...)
		}
	}
}

// plain makes the check of every resource of a type by a function of its properties, for types of
// which the model has no value or not all.
func plain(resourceType string, problem func(p assembly.Value) string) check {
	return func(r *report) {
		for _, one := range r.resources(resourceType) {
			reader := assembly.NewReader(r.Assembly, one)
			if text := problem(reader.Properties()); text != "" {
				r.findings = append(r.findings, Finding{one.String(), text})
			}
			for _, p := range reader.Problems() {
				r.unknown = append(r.unknown, p.Err)
			}
		}
	}
}

// unless returns the problem if the condition does not hold.
func unless(holds bool, problem string) string {
	if holds {
		return ""
	}
	return problem
}

// needs makes the function that returns the problem where the condition does not hold.
func needs[T any](condition func(T) bool, problem string) func(T) string {
	return func(v T) string { return unless(condition(v), problem) }
}
