package local

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/local/apigateway"
	"cutover/internal/local/backing/dynamodb"
	"cutover/internal/local/backing/postgres"
	"cutover/internal/local/backing/queues"
	"cutover/internal/local/cloudfront"
	"cutover/internal/local/eventsource"
	"cutover/internal/local/provider"
	"cutover/internal/local/ssm"
	"cutover/internal/model"
)

// kinds are the kinds of resources that run here. Resources of a stack are updated in this order
// and deleted in the opposite order. To add a kind, write a package like ssm and add a line.
var kinds = []func(*Runner) provider.Provider{
	func(*Runner) provider.Provider { return ssm.New() },
	func(r *Runner) provider.Provider { return r.secrets },
	func(r *Runner) provider.Provider { return r.access },
	func(r *Runner) provider.Provider { return dynamodb.New(dataDir(r.options.Dir), r.access, r.tell) },
	func(r *Runner) provider.Provider { return queues.New(dataDir(r.options.Dir), r.access, r.tell) },
	func(r *Runner) provider.Provider {
		return postgres.New(dataDir(r.options.Dir), r.access, os.Getenv, r.tell)
	},
	func(r *Runner) provider.Provider { return r.brokers },
	func(r *Runner) provider.Provider { return r.functions },
	func(r *Runner) provider.Provider {
		return eventsource.New(eventsource.Options{Dir: filepath.Join(dataDir(r.options.Dir), "positions"), Access: r.access, Functions: r.functions, Events: r.tell})
	},
	func(r *Runner) provider.Provider { return r.balancers },
	func(r *Runner) provider.Provider { return r.names },
	func(r *Runner) provider.Provider { return r.services },
	func(r *Runner) provider.Provider { return r.schedules },
	func(r *Runner) provider.Provider {
		return apigateway.New(apigateway.Options{
			Dir: r.options.Dir, Port: r.options.APIPort, Free: r.options.FreePorts, Balancers: r.balancers, Functions: r.functions, Access: r.access, Events: r.tell,
		})
	},
	func(r *Runner) provider.Provider {
		return cloudfront.New(cloudfront.Options{Port: r.options.DistributionPort, Free: r.options.FreePorts, Balancers: r.balancers, APIs: r.apiPort, Events: r.tell})
	},
}

// apiPort is where a REST API answers, by its key; 0 if it does not.
func (r *Runner) apiPort(key string) int {
	for _, p := range r.providers {
		if apis, ok := p.(*apigateway.Provider); ok {
			return apis.Port(key)
		}
	}
	return 0
}

// plans has the plan of each provider for an assembly.
type plans []provider.Plan

func (r *Runner) plan(m *model.Model) plans {
	all := make(plans, len(r.providers))
	text := func(value any) (string, error) { return r.text(m.Assembly, all, value, 0) }
	for i, p := range r.providers {
		all[i] = p.Plan(m, text)
	}
	return all
}

// mistakenValues refuses values for resources that the first assembly does not have. Later
// assemblies may have lost the resources.
func (r *Runner) mistakenValues(a *assembly.Assembly) error {
	if r.Assembly() != nil {
		return nil
	}
	var errs []error
	for _, ref := range slices.Sorted(maps.Keys(r.options.Values)) {
		stack, id, _ := strings.Cut(ref, "/")
		id, _, _ = strings.Cut(id, ".")
		if s := a.Stack(stack); s == nil || s.Resource(id) == nil {
			errs = append(errs, fmt.Errorf("a value is given for %s, and the assembly has no resource %s/%s", ref, stack, id))
		}
	}
	return errors.Join(errs...)
}

// standsFor is the index of the plan that stands for a resource, -1 if none does.
func (r *Runner) standsFor(all plans, resource *assembly.Resource) int {
	i := slices.IndexFunc(r.providers, func(p provider.Provider) bool { return slices.Contains(p.Types(), resource.Type) })
	if i >= 0 {
		if some, partial := all[i].(provider.Partial); partial && !some.Stands(resource) {
			return -1
		}
	}
	return i
}

// notRun counts the resources of an assembly for which nothing stands, by type.
func (r *Runner) notRun(a *assembly.Assembly, all plans) map[string]int {
	counts := map[string]int{}
	for _, stack := range a.Stacks {
		for _, resource := range stack.Resources {
			if r.standsFor(all, resource) < 0 {
				counts[resource.Type]++
			}
		}
	}
	return counts
}

// maxDepth bounds how far values may refer to each other.
const maxDepth = 50

// text fills in a value from the attributes that the plans give.
func (r *Runner) text(a *assembly.Assembly, all plans, value any, depth int) (string, error) {
	if depth > maxDepth {
		return "", errors.New("the value refers to itself")
	}
	switch value := value.(type) {
	case nil:
		return "", nil
	case assembly.Text:
		var b strings.Builder
		for _, part := range value {
			text, err := r.text(a, all, part, depth+1)
			if err != nil {
				return "", err
			}
			b.WriteString(text)
		}
		return b.String(), nil
	case assembly.Ref:
		given, err := r.given(a, all, value)
		if err != nil {
			return "", err
		}
		return r.text(a, all, given, depth+1)
	case assembly.Piece:
		return r.piece(a, all, value, depth)
	}
	return fmt.Sprint(value), nil
}

// given is the value of an attribute: that of the user, or else that of the plans.
func (r *Runner) given(a *assembly.Assembly, all plans, value assembly.Ref) (any, error) {
	if given, ok := r.options.Values[value.String()]; ok {
		return given, nil
	}
	i := r.standsFor(all, value.Resource)
	if i < 0 && value.Attribute == "" {
		if name := model.RefValue(a, value.Resource, provider.Account, provider.Region); name != "" {
			return name, nil
		}
	}
	if i < 0 {
		return nil, fmt.Errorf("nothing on this machine stands for %v, which is an %s: %w %v=VALUE", value.Resource, value.Resource.Type, provider.ErrNoValue, value)
	}
	given, err := all[i].Attribute(value)
	if errors.Is(err, provider.ErrNotYet) {
		return nil, fmt.Errorf("%v: %w", value, err)
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w %v=VALUE", err, provider.ErrNoValue, value)
	}
	return given, nil
}

// piece fills in a piece of a list or of a text. A list that the user gives has commas.
func (r *Runner) piece(a *assembly.Assembly, all plans, piece assembly.Piece, depth int) (string, error) {
	var list []any
	if piece.Delimiter == "" {
		given, err := r.given(a, all, piece.Of.(assembly.Ref))
		if err != nil {
			return "", err
		}
		if text, ok := given.(string); ok {
			for one := range strings.SplitSeq(text, ",") {
				list = append(list, one)
			}
		} else if list, ok = given.([]any); !ok {
			return "", fmt.Errorf("%v is no list on this machine", piece.Of)
		}
	} else {
		text, err := r.text(a, all, piece.Of, depth+1)
		if err != nil {
			return "", err
		}
		for one := range strings.SplitSeq(text, piece.Delimiter) {
			list = append(list, one)
		}
	}
	if piece.Index >= len(list) {
		return "", fmt.Errorf("%v: there are %d", piece, len(list))
	}
	return r.text(a, all, list[piece.Index], depth+1)
}
