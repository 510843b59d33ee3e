package assembly

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// give sets parameters of the stacks: "NAME=VALUE" in every stack that has the parameter, or
// "STACK:NAME=VALUE" in one, as `cdk deploy --parameters` takes them. AWS::Region and AWS::AccountId
// are for the stacks that leave them to the deployment.
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
		where := "no stack of the assembly"
		if stackName != "" {
			where = fmt.Sprintf("no stack %q of the assembly", stackName)
		}
		slices.Sort(known)
		hint := "there are none"
		if len(known) > 0 {
			hint = "there are " + strings.Join(slices.Compact(known), ", ")
		}
		return fmt.Errorf("parameter %q: %s takes it; %s", name, where, hint)
	}
	return nil
}

// give sets a parameter of the stack, and says whether the stack has the parameter.
func (s *Stack) give(name, value string) (takes bool, err error) {
	for pseudo, field := range map[string]*string{"AWS::Region": &s.Region, "AWS::AccountId": &s.Account} {
		if name == pseudo {
			if takes = *field == "" || *field == value; takes {
				*field = value
			}
			return takes, nil
		}
	}
	parameter, ok := s.Parameters[name]
	if !ok {
		return false, nil
	}
	if parameter.Type == "Number" {
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			return true, fmt.Errorf("%q is not a number", value)
		}
	}
	if allowed := parameter.AllowedValues; len(allowed) > 0 && !slices.ContainsFunc(allowed, func(v any) bool { return fmt.Sprint(v) == value }) {
		return true, fmt.Errorf("%q is none of %s", value, strings.Trim(fmt.Sprint(allowed), "[]"))
	}
	if s.given == nil {
		s.given = map[string]string{}
	}
	s.given[name] = value
	return true, nil
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

func (r *resolver) parameter(path, id string, p Parameter) any {
	text, given := r.stack.given[id]
	switch {
	case given:
	case strings.HasPrefix(p.Type, "AWS::SSM::Parameter::Value<"):
		r.fail(path, "parameter %[1]q is read from the Parameter Store (%[2]v) at deployment: give a value with --parameters %[1]s=VALUE", id, p.Default)
	case p.Default == nil:
		r.fail(path, "parameter %[1]q has no default: give a value with --parameters %[1]s=VALUE", id)
	default:
		text = r.literal(path, p.Default)
	}
	if p.Type != "CommaDelimitedList" && !strings.HasPrefix(strings.TrimPrefix(p.Type, "AWS::SSM::Parameter::Value<"), "List<") {
		return text
	}
	list := []any{}
	for element := range strings.SplitSeq(text, ",") {
		list = append(list, strings.TrimSpace(element))
	}
	return list
}
