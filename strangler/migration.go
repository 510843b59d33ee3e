package strangler

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/migration"
)

// MigrationProps are the properties of a [Migration].
type MigrationProps struct {
	// Listener that gets the rules. It may be imported. Its default action and its other rules stay as
	// they are.
	Listener elb.IApplicationListener `field:"required" json:"listener" yaml:"listener"`
	// Monolith is the target group that answers now. It may be imported, and stays as it is. It has to
	// be behind the load balancer of the listener.
	Monolith elb.IApplicationTargetGroup `field:"required" json:"monolith" yaml:"monolith"`
	// Services that move.
	Services *[]*MigrationService `field:"required" json:"services" yaml:"services"`
}

// MigrationService is a service that moves out of the monolith.
type MigrationService struct {
	// Name of the service: lower-case letters, digits and hyphens. It is part of logical ids, so another
	// name is another service.
	Name *string `field:"required" json:"name" yaml:"name"`
	// Priority of the service's rule, from 1 to 50,000. No other rule of the listener may have it. It
	// has to be before the rules that send the same requests to the monolith, and should never change.
	// See: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html
	//
	Priority *float64 `field:"required" json:"priority" yaml:"priority"`
	// Conditions of the requests that the service answers, with 5 values at most.
	// See: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
	//
	Conditions *[]elb.ListenerCondition `field:"required" json:"conditions" yaml:"conditions"`
	// TargetGroup of the service. It has to be in the stack of the migration, like the ECS service behind
	// it: CloudFormation then makes the rule first, without which ECS takes no target group.
	TargetGroup elb.IApplicationTargetGroup `field:"required" json:"targetGroup" yaml:"targetGroup"`
	// Place of the service: "monolith", "parallel", a share from "0%" to "100%", or "switched".
	//
	// Default: "monolith".
	//
	Place *string `field:"optional" json:"place" yaml:"place"`
}

// Migration adds a rule to a listener for each service. A move changes the rule of the service and
// nothing else: the rule has the same logical id and the same priority in all places.
//
//   - In "monolith" and "parallel", the rule takes the requests to the host NAME.parked.invalid alone,
//     which no client has a reason to send. So all requests go on as if the rule did not exist. But the
//     target group stays attached to the load balancer, or ECS could not update the service. If a
//     service with a higher priority number takes some of the same requests, the rule sends them to the
//     monolith instead: the other service would have them otherwise.
//   - With a share, the rule divides the requests between the service and the monolith.
//   - In "switched", the rule sends the requests to the service.
//
// See: https://docs.aws.amazon.com/prescriptive-guidance/latest/cloud-design-patterns/strangler-fig.html
type Migration interface {
	constructs.Construct
	// Places has the place of each service, by its name.
	Places() *map[string]*string
}

type migrationConstruct struct {
	constructs.Construct
	places map[string]migration.Place
}

func (m *migrationConstruct) Places() *map[string]*string {
	places := map[string]*string{}
	for name, place := range m.places {
		places[name] = jsii.String(place.String())
	}
	return &places
}

// moving is a service with what its properties stand for.
type moving struct {
	*MigrationService
	place migration.Place
	match migration.Match
}

// NewMigration adds a [Migration] to a stack.
func NewMigration(scope constructs.Construct, id *string, props *MigrationProps) Migration {
	m := &migrationConstruct{places: map[string]migration.Place{}}
	constructs.NewConstruct_Override(m, scope, id)
	services := m.check(props)
	// As an import the monolith's group changes nothing of what made it: neither its stack nor the
	// security groups of its targets.
	monolith := elb.ApplicationTargetGroup_FromTargetGroupAttributes(m, jsii.String("Monolith"), &elb.TargetGroupAttributes{
		TargetGroupArn: props.Monolith.TargetGroupArn(),
	})
	rules := make([]elb.ApplicationListenerRule, len(services))
	for i, s := range services {
		m.places[*s.Name] = s.place
		rule := &elb.ApplicationListenerRuleProps{Listener: props.Listener, Priority: s.Priority, Conditions: s.Conditions}
		targets, parked := migration.Beside(*s.Name, monolithName, s.place, s.takesFrom(services[i+1:]))
		if parked {
			rule.Conditions = &[]elb.ListenerCondition{elb.ListenerCondition_HostHeaders(jsii.Strings(migration.Parked(*s.Name).Hosts...))}
		}
		if len(targets) == 1 {
			rule.TargetGroups = &[]elb.IApplicationTargetGroup{s.TargetGroup}
		} else {
			groups := map[string]elb.IApplicationTargetGroup{*s.Name: s.TargetGroup, monolithName: monolith}
			var weighted []*elb.WeightedTargetGroup
			for _, target := range targets {
				weighted = append(weighted, &elb.WeightedTargetGroup{TargetGroup: groups[target.Group], Weight: jsii.Number(target.Weight)})
			}
			rule.Action = elb.ListenerAction_WeightedForward(&weighted, nil)
		}
		rules[i] = elb.NewApplicationListenerRule(m, s.Name, rule)
		for j, before := range services[:i] {
			if before.match.Meets(s.match) {
				rules[i].Node().AddDependency(rules[j])
			}
		}
	}
	awscdk.Annotations_Of(monolith).AcknowledgeWarning(jsii.String("@aws-cdk/aws-elbv2:albTargetGroupCannotRegisterListener"),
		jsii.String("The load balancer reaches the monolith already"))
	return m
}

// monolithName is no name of a service.
const monolithName = ""

// takesFrom reports whether one of the services behind this one takes some of its requests, too.
func (s moving) takesFrom(behind []moving) bool {
	return slices.ContainsFunc(behind, func(other moving) bool { return s.match.Meets(other.match) })
}

// names are part of logical ids and of the names of parameters.
var names = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// check refuses properties that are wrong, and returns the services in the order of their priorities.
func (m *migrationConstruct) check(props *MigrationProps) (services []moving) {
	w := wrong{construct: m}
	if props == nil {
		props = &MigrationProps{}
	}
	w.required("Listener", props.Listener)
	w.required("Monolith", props.Monolith)
	if props.Services == nil || len(*props.Services) == 0 {
		w.add("Services is required, and has one service at least")
		props.Services = &[]*MigrationService{}
	}
	priorities := map[float64]string{}
	for i, s := range *props.Services {
		at := fmt.Sprintf("Services[%d]", i)
		if s == nil {
			w.add("%s is nil", at)
			continue
		}
		if s.Name == nil {
			w.add("%s.Name is required", at)
			continue
		}
		one := moving{MigrationService: s}
		at = *s.Name
		if !names.MatchString(at) {
			w.add("%s.Name is %q: use lower-case letters, digits and hyphens, as in \"orders\"", fmt.Sprintf("Services[%d]", i), at)
		}
		if slices.ContainsFunc(services, func(other moving) bool { return *other.Name == at }) {
			w.add("the service %s is there twice", at)
		}
		switch {
		case s.Priority == nil:
			w.add("%s.Priority is required", at)
		case *s.Priority < 1 || *s.Priority > migration.LastPriority || *s.Priority != float64(int(*s.Priority)):
			w.add("%s.Priority is %v: use a whole number from 1 to %d", at, *s.Priority, migration.LastPriority)
		case priorities[*s.Priority] != "":
			w.add("%s.Priority is %v, which %s has: each rule needs one of its own", at, *s.Priority, priorities[*s.Priority])
		default:
			priorities[*s.Priority] = at
		}
		if s.Conditions == nil || len(*s.Conditions) == 0 {
			w.add("%s.Conditions is required: the service would take all requests", at)
		} else {
			values := 0
			one.match, values = matchOf(*s.Conditions)
			if values > maxValues {
				w.add("%s.Conditions has %d values: a rule has %d at most", at, values, maxValues)
			}
		}
		w.required(at+".TargetGroup", s.TargetGroup)
		if s.TargetGroup != nil && props.Monolith != nil && *s.TargetGroup.TargetGroupArn() == *props.Monolith.TargetGroupArn() {
			w.add("%s.TargetGroup is that of the monolith: the service needs one of its own", at)
		}
		one.place = w.place(at+".Place", s.Place)
		services = append(services, one)
	}
	w.panicIfAny()
	slices.SortFunc(services, func(a, b moving) int { return cmp.Compare(*a.Priority, *b.Priority) })
	return services
}

// maxValues is how many values the conditions of a rule have at most
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html).
const maxValues = 5

// matchOf returns what conditions take, and the number of their values. Of a condition that a match
// does not know, such as the address of the client, it is all requests.
func matchOf(conditions []elb.ListenerCondition) (match migration.Match, values int) {
	match.Headers = map[string][]string{}
	for _, condition := range conditions {
		raw, _ := condition.RenderRawCondition().(map[string]any)
		for field, config := range raw {
			config, ok := config.(map[string]any)
			if !ok {
				continue // the name of the field
			}
			found := texts(config["values"])
			values += max(len(found), 1)
			switch field {
			case "pathPatternConfig":
				match.Paths = found
			case "hostHeaderConfig":
				match.Hosts = found
			case "httpRequestMethodConfig":
				match.Methods = found
			case "httpHeaderConfig":
				if name, ok := config["httpHeaderName"].(string); ok {
					match.Headers[name] = found
				}
			}
		}
	}
	return match, values
}

// texts returns the values of a condition. A pair of a query string is any text.
func texts(list any) (all []string) {
	values, _ := list.([]any)
	for _, value := range values {
		text, ok := value.(string)
		if !ok {
			text = "*"
		}
		all = append(all, text)
	}
	return all
}
