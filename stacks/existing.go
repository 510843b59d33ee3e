package stacks

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"cutover/config"
	"cutover/internal/assembly"
)

// readExisting reads the template that `cutover adopt` wrote of what exists, and compares the settings with it. It is nil if there is no
// such file. The file may be old: `cutover adopt --check` compares it with the account.
func readExisting(d config.Deployment, s config.Settings) (*assembly.Assembly, error) {
	if s.ListenerARN == "" {
		return nil, nil
	}
	a, err := assembly.ReadExisting(".")
	if err != nil || a == nil {
		return nil, err
	}
	const again = "run `cutover adopt` again"
	listener, group := a.Described(s.ListenerARN), a.Described(d.Existing)
	if listener == nil {
		return nil, fmt.Errorf("listenerArn: %s does not describe %s: %s", assembly.ExistingFile, s.ListenerARN, again)
	}
	if group == nil {
		return nil, fmt.Errorf("monolithTargetGroupArn: %s does not describe %s: %s", assembly.ExistingFile, d.Existing, again)
	}
	var errs []error
	if vpc, _ := properties(a, group)["VpcId"].(string); vpc != "" && vpc != s.VPCID {
		errs = append(errs, fmt.Errorf("vpcId: %s is not the VPC of the monolith's target group, which is %s", s.VPCID, vpc))
	}
	for _, r := range a.Existing.Resources {
		p := properties(a, r)
		of, _ := p["ListenerArn"].(map[string]any)
		priority, isRule := p["Priority"].(float64)
		if isRule && of["Ref"] == listener.LogicalID && d.Priorities.Has(int(priority)) {
			errs = append(errs, fmt.Errorf("rulePriorities: %s has a rule of others, with priority %v: choose another window, or %s", d.Priorities, priority, again))
		}
	}
	return a, errors.Join(errs...)
}

func properties(a *assembly.Assembly, r *assembly.Resource) map[string]any {
	return memberOf(a, r, "Properties")
}

// memberOf returns a member of a resource that exists; nil if there is none.
func memberOf(a *assembly.Assembly, r *assembly.Resource, name string) map[string]any {
	resources, _ := a.Existing.Template["Resources"].(map[string]any)
	resource, _ := resources[r.LogicalID].(map[string]any)
	member, _ := resource[name].(map[string]any)
	return member
}

// writeExisting writes what exists into the directory of the assembly, for who reads the assembly, and by which name clients reach the
// load balancer.
func writeExisting(dir string, a *assembly.Assembly, s config.Settings) error {
	listener := properties(a, a.Described(s.ListenerARN))
	balancer, _ := listener["LoadBalancerArn"].(map[string]any)
	for _, r := range a.Existing.Resources {
		if r.LogicalID == balancer["Ref"] && s.Domain != "" {
			memberOf(a, r, "Metadata")[domainMetadata] = s.Domain // each has the metadata with its ARN
		}
	}
	text, err := json.MarshalIndent(a.Existing.Template, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, assembly.ExistingFile), append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("cannot write what exists into the assembly: %w", err)
	}
	return nil
}
