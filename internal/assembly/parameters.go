package assembly

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrNoParameter is in the error of [Read] if no stack takes a parameter. It adds no text.
var ErrNoParameter = errors.New("")

// give sets parameters of the stacks: "NAME=VALUE" in every stack that has the parameter, or
// "STACK:NAME=VALUE" in one, as `cdk deploy --parameters` takes them. Pseudo parameters, like
// AWS::Region, are for the stacks that leave them to the deployment.
func (a *Assembly) give(parameters []string) error {
	for _, text := range parameters {
		name, value, ok := strings.Cut(text, "=")
		stackName := ""
		if !strings.HasPrefix(name, "AWS::") {
			if before, after, found := strings.Cut(name, ":"); found {
				stackName, name = before, after
			}
		}
		if !ok || name == "" {
			return fmt.Errorf("parameter %q is not [STACK:]NAME=VALUE, as in Port=8080", text)
		}
		taken, known := 0, []string{}
		for _, s := range a.Stacks {
			if stackName != "" && stackName != s.Name {
				continue
			}
			for other := range s.Parameters {
				known = append(known, other)
			}
			takes, err := s.give(name, value)
			if err != nil {
				return fmt.Errorf("parameter %q of stack %q: %w", name, s.Name, err)
			}
			if takes {
				taken++
			}
		}
		if taken > 0 {
			continue
		}
		slices.Sort(known)
		switch {
		case stackName != "" && a.Stack(stackName) == nil:
			return fmt.Errorf("parameter %q: there is no stack %q%w", name, stackName, ErrNoParameter)
		case len(known) == 0:
			known = []string{"none"}
		}
		where := "no stack of the assembly"
		if stackName != "" {
			where = fmt.Sprintf("no stack %q of the assembly", stackName)
		}
		return fmt.Errorf("parameter %q: %s takes it; there are %s%w", name, where, strings.Join(slices.Compact(known), ", "), ErrNoParameter)
	}
	return nil
}

// give sets a parameter of the stack, and says whether the stack takes it.
func (s *Stack) give(name, value string) (takes bool, err error) {
	parameter, ok := s.Parameters[name]
	known, pseudo := s.pseudo()[name]
	switch {
	case ok:
		if err := parameter.check(value); err != nil {
			return true, err
		}
	case !pseudo || known != "":
		return pseudo && known == value, nil
	}
	switch name {
	case "AWS::Region":
		s.Region = value
	case "AWS::AccountId":
		s.Account = value
	default:
		if s.given == nil {
			s.given = map[string]string{}
		}
		s.given[name] = value
	}
	return true, nil
}

// pseudo are the pseudo parameters with their values, empty if only a deployment tells the value.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/pseudo-parameter-reference.html
func (s *Stack) pseudo() map[string]string {
	partition, suffix := partitionOf(s.Region)
	return map[string]string{
		"AWS::StackName": s.Name, "AWS::AccountId": s.Account, "AWS::Region": s.Region, "AWS::StackId": s.given["AWS::StackId"],
		"AWS::Partition": cmp.Or(partition, s.given["AWS::Partition"]), "AWS::URLSuffix": cmp.Or(suffix, s.given["AWS::URLSuffix"]),
	}
}

// check refuses a value that CloudFormation would refuse. A pattern that Go cannot read is passed over.
// "CloudFormation template Parameters syntax",
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
func (p Parameter) check(value string) error {
	number, err := strconv.ParseFloat(value, 64)
	if p.Type == "Number" && err != nil {
		return fmt.Errorf("%q is not a number", value)
	}
	if allowed := p.AllowedValues; len(allowed) > 0 && !slices.ContainsFunc(allowed, func(v any) bool { return fmt.Sprint(v) == value }) {
		return fmt.Errorf("%q is none of %s", value, strings.Trim(fmt.Sprint(allowed), "[]"))
	}
	if pattern, err := regexp.Compile(`^(?:` + p.AllowedPattern + `)$`); p.AllowedPattern != "" && err == nil && !pattern.MatchString(value) {
		return fmt.Errorf("%q does not match the pattern %s", value, p.AllowedPattern)
	}
	length := float64(utf8.RuneCountInString(value))
	for _, bound := range []struct {
		limit    any
		over, is float64 // over: 1 for an upper bound, -1 for a lower one
		says     string
	}{
		{p.MinValue, -1, number, "is below %v"}, {p.MaxValue, 1, number, "is above %v"},
		{p.MinLength, -1, length, "has fewer characters than %v"}, {p.MaxLength, 1, length, "has more characters than %v"},
	} {
		if limit, err := strconv.ParseFloat(fmt.Sprint(bound.limit), 64); err == nil && bound.over*(bound.is-limit) > 0 {
			return fmt.Errorf("%q "+bound.says, value, bound.limit)
		}
	}
	return nil
}

// Locate sets the account and region of the stacks that leave them to the deployment. Call it
// before goroutines share the assembly.
func (a *Assembly) Locate(account, region string) {
	for _, s := range a.Stacks {
		if s.Account == "" {
			s.Account = account
		}
		if s.Region == "" {
			s.Region = region
		}
	}
	a.indexExports()
}
