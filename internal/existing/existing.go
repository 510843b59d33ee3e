// Package existing looks at a load balancer that was there before, and at what is around it: whether
// services may be put beside a monolith behind one of its listeners, with which settings, and what has
// changed since.
//
//	account, err := existing.Read(ctx, existing.Dir("saved"), choice)
//	report := existing.Look(account, choice, needs)
//	fmt.Println(report.Fits(), report.Settings)
//
// [Read] asks the AWS CLI, or a directory with what its commands have printed. The rest is computed. Nothing
// is changed on AWS.
package existing

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cutover/config"
	"cutover/internal/words"
	"cutover/migration"
)

const (
	application = "application" // the type of an Application Load Balancer
	active      = "ACTIVE"      // the state of a cluster
)

// Choice says which parts are meant. What is empty is found, if there is only one that can be meant.
type Choice struct {
	// LoadBalancer is a name or an ARN.
	LoadBalancer string
	// Listener is a port or an ARN. Default: the listener on port 443, or else the only one.
	Listener string
	// Monolith is the name or the ARN of a target group. Default: the one of the listener's default action.
	Monolith string
	// Cluster is a name or an ARN. Default: the cluster with the monolith's service.
	Cluster string
	// OwnCluster says that the deployment has a cluster of its own.
	OwnCluster bool
	// CapacityProvider is one of the cluster. Default: the only one with instances.
	CapacityProvider string
	// Subnets are those of tasks. Default: those of the monolith's tasks, or else the private ones in the
	// zones of the load balancer.
	Subnets []string
	// Priorities are the window of our rules, as in "200-299". Default: the first hundred that fits.
	Priorities string
	// TaskSecurityGroups are further groups of tasks.
	TaskSecurityGroups []string
	// Adopted says that Priorities were deployed, perhaps with rules of ours.
	Adopted bool
}

// Needs is what a list of services asks of the account.
type Needs struct {
	// Services are those behind the first load balancer.
	Services []migration.Service
	// Groups are the names of our target groups.
	Groups []string
}

// NeedsOf returns the needs of a list. Prefix is the setting namePrefix.
func NeedsOf(d config.Deployment, prefix string) *Needs {
	n := &Needs{}
	m := d.Migration()
	for _, s := range m.Services {
		if s.LoadBalancer == "" {
			n.Services = append(n.Services, s)
		}
	}
	for _, group := range m.Plan(migration.Position{}).Balancers[0].Groups {
		if group != m.Monolith.Name && group != migration.DropGroup {
			n.Groups = append(n.Groups, prefix+group)
		}
	}
	return n
}

// groups is how many target groups the services have.
func (n *Needs) groups() int {
	if n == nil {
		return 0
	}
	return len(n.Groups)
}

// rules is how many rules there are at most at a time: one for each route, and one for its testers.
func (n *Needs) rules() (rules int) {
	if n == nil {
		return 0
	}
	for _, s := range n.Services {
		for _, r := range s.Routes {
			rules++
			if len(r.Testers) > 0 {
				rules++
			}
		}
	}
	return rules
}

// order is the highest order of a route.
func (n *Needs) order() (highest int) {
	for _, r := range n.routes() {
		highest = max(highest, r.Order)
	}
	return highest
}

// kinds are the kinds of compute that services have or move to.
func (n *Needs) kinds() map[string]bool {
	kinds := map[string]bool{}
	for _, s := range n.Services {
		kinds[s.Kind()] = true
		if s.Next != "" {
			kinds[s.Next] = true
		}
	}
	return kinds
}

// State is what a check has found.
type State string

const (
	// OK: it fits.
	OK State = "fits"
	// Wrong: it does not fit, and Do says what to do.
	Wrong State = "does not fit"
	// Note: it fits as far as one can tell, and Do says what to mind.
	Note State = "note"
)

// Check is one thing that was looked at.
type Check struct {
	// Subject is what was looked at, and Found what was found there.
	Subject string `json:"subject"`
	Found   string `json:"found"`
	State   State  `json:"state"`
	// Do says what to do. Empty if it fits.
	Do string `json:"do,omitempty"`
}

// Setting is a context key of cdk.json with its value.
type Setting struct{ Key, Value string }

// Report is what was looked at.
type Report struct {
	Checks []Check
	// Settings are in the order in which people read them. Those that are not known are left out.
	Settings []Setting
	// Template is nil if the load balancer, its listener or the window of priorities is not known.
	Template *Template
}

// Fits says whether nothing was found that does not fit.
func (r Report) Fits() bool {
	return !slices.ContainsFunc(r.Checks, func(c Check) bool { return c.State == Wrong })
}

// look is a look at an account.
type look struct {
	*Account
	choice Choice
	needs  *Needs // nil if there is no list of services
	report Report

	lb       *LoadBalancer
	listener *Listener
	monolith *TargetGroup
	behind   *Service // whose tasks are the monolith's targets, nil if there is none
	window   migration.Window
}

func (l *look) add(state State, subject, found, do string, args ...any) {
	if len(args) > 0 {
		do = fmt.Sprintf(do, args...)
	}
	l.report.Checks = append(l.report.Checks, Check{subject, found, state, do})
}

func (l *look) set(key, value string) {
	if value != "" {
		l.report.Settings = append(l.report.Settings, Setting{key, value})
	}
}

// Look looks at what was chosen. Without needs, what a list of services asks for is not checked. After a
// part that cannot be told, those that depend on it are not looked at.
func Look(a *Account, choice Choice, needs *Needs) Report {
	l := &look{Account: a, choice: choice, needs: needs}
	if needs == nil {
		l.add(Note, "services", "not known: there is no list of them yet", "run `npx cdk synth --quiet` and then this again: whether the services' rules, names and compute fit was not looked at")
	}
	var problem string
	if l.lb, problem = a.loadBalancer(choice); l.lb == nil {
		l.add(Wrong, "load balancer", cmp.Or(choice.LoadBalancer, "not named"), problem)
		return l.report
	}
	if !l.loadBalancer() {
		return l.report
	}
	if l.listener, problem = a.listener(choice, l.lb); l.listener == nil {
		l.add(Wrong, "listener", cmp.Or(choice.Listener, words.Count(len(a.Listeners), "listener")), problem)
		return l.report
	}
	l.listens()
	if l.monolith, problem = a.monolith(choice, l.listener); l.monolith == nil {
		l.add(Wrong, "monolith", cmp.Or(choice.Monolith, "default action: "+doing(l.listener.DefaultActions)), problem)
		return l.report
	}
	l.targets()
	if l.priorities() {
		l.shadows()
		l.report.Template = a.template(l.lb, l.ours)
	}
	l.quotas()
	subnets := l.subnets()
	l.cluster()
	groups := l.egress(subnets)
	l.sameAccount()

	l.report.Settings = nil
	l.set("listenerArn", l.listener.ARN)
	l.set("monolithTargetGroupArn", l.monolith.ARN)
	l.set("rulePriorities", l.window.String())
	l.set("vpcId", l.lb.VPCID)
	l.set("subnetIds", strings.Join(texts(subnets, Subnet.id), ","))
	if cluster := l.chosenCluster(); cluster != nil {
		l.set("clusterName", cluster.Name)
		l.set("capacityProvider", l.capacityProvider(cluster))
	}
	l.set("loadBalancerSecurityGroupIds", strings.Join(slices.Sorted(slices.Values(l.lb.SecurityGroups)), ","))
	l.set("taskSecurityGroupIds", strings.Join(groups, ","))
	if certificates := l.listener.Certificates; l.listener.Protocol == "HTTPS" && len(certificates) > 0 {
		l.set("certificateArn", certificates[0].ARN)
	}
	return l.report
}

// texts are what all has, as texts.
func texts[T any](all []T, text func(T) string) (texts []string) {
	for _, one := range all {
		texts = append(texts, text(one))
	}
	return texts
}

// loadBalancer finds the load balancer that is meant. Otherwise the problem says what to do.
func (a *Account) loadBalancer(choice Choice) (lb *LoadBalancer, problem string) {
	wanted := choice.LoadBalancer
	var names []string
	for i := range a.LoadBalancers {
		lb := &a.LoadBalancers[i]
		if lb.ARN == wanted || lb.Name == wanted {
			return lb, ""
		}
		names = append(names, lb.Name)
	}
	return nil, fmt.Sprintf("there is no load balancer %q in this account and region: %s", wanted, words.Choice(names))
}

// loadBalancer checks the load balancer, and says whether there is more to look at.
func (l *look) loadBalancer() bool {
	subject := "load balancer " + l.lb.Name
	if l.lb.Type != application {
		l.add(Wrong, subject, "type "+l.lb.Type, "only an Application Load Balancer has rules for paths: name one, or put one behind this load balancer")
		return false
	}
	found := cmp.Or(l.lb.Scheme, "internet-facing") + ", " + l.lb.State.Code
	switch l.lb.State.Code {
	case "active":
		l.add(OK, subject, found, "")
	case "active_impaired":
		l.add(Note, subject, found, "it routes, and AWS cannot scale it: %s", cmp.Or(l.lb.State.Reason, "see why in the console"))
	default:
		l.add(Wrong, subject, found, "wait until the load balancer is active: %s", cmp.Or(l.lb.State.Reason, "it takes no requests before"))
	}
	if slices.Contains(l.Missing, "describe-load-balancer-attributes") {
		l.add(Note, "idle timeout", "not known", "services must keep idle connections longer than the load balancer, which does so for %d s unless it was told otherwise", keepAlive)
		return true
	}
	seconds := keepAlive
	for _, a := range l.Attributes {
		if a.Key == "idle_timeout.timeout_seconds" {
			seconds, _ = strconv.Atoi(a.Value)
		}
	}
	if seconds > keepAlive {
		l.add(Note, "idle timeout", fmt.Sprintf("%d s", seconds), "let services keep idle connections longer than %d s, or some requests end with 502", seconds)
	} else {
		l.add(OK, "idle timeout", fmt.Sprintf("%d s", seconds), "")
	}
	return true
}

// keepAlive is the idle timeout of a load balancer that nobody has changed, in seconds. Servers that are made for
// load balancers keep connections longer.
const keepAlive = 60

// listener finds the listener that is meant. Otherwise the problem says what to do.
func (a *Account) listener(choice Choice, lb *LoadBalancer) (listener *Listener, problem string) {
	var names []string
	var on443 *Listener
	for i := range a.Listeners {
		l := &a.Listeners[i]
		if choice.Listener == l.ARN || choice.Listener == strconv.Itoa(l.Port) {
			return l, ""
		}
		if l.Port == 443 {
			on443 = l
		}
		names = append(names, l.String())
	}
	switch {
	case choice.Listener != "":
		return nil, fmt.Sprintf("load balancer %s has no such listener: %s", lb.Name, words.Choice(names))
	case len(a.Listeners) == 0:
		return nil, fmt.Sprintf("load balancer %s has no listener: add one that forwards to the monolith", lb.Name)
	case on443 != nil:
		return on443, ""
	case len(a.Listeners) == 1:
		return &a.Listeners[0], ""
	}
	return nil, fmt.Sprintf("there are several: choose one of %s by its port, with --listener PORT", strings.Join(names, ", "))
}

// listens checks the listener.
func (l *look) listens() {
	subject := "listener " + l.listener.String()
	default_ := "everything else → " + doing(l.listener.DefaultActions)
	logs := slices.ContainsFunc(l.listener.DefaultActions, Action.authenticates)
	switch {
	case l.listener.Protocol != "HTTP" && l.listener.Protocol != "HTTPS":
		l.add(Wrong, subject, default_, "only listeners of HTTP and HTTPS have rules for paths: choose one with --listener PORT")
	case logs:
		l.add(Wrong, subject, default_, "rules of Cutover forward without this login, so a service would answer clients that are not logged in: log them in before the load balancer or in the services, and take the login out of the listener")
	case slices.ContainsFunc(l.listener.DefaultActions, func(a Action) bool { return a.Type == "redirect" }):
		l.add(Note, subject, default_, "what no rule takes is redirected, so a path of a service needs a rule before the window that gives it to the monolith today, or a monolith that clients reach elsewhere")
	default:
		l.add(OK, subject, default_, "")
	}
	if l.listener.Protocol != "HTTPS" {
		return
	}
	if mode := cmp.Or(l.listener.MutualAuthentication.Mode, "off"); mode == "off" {
		l.add(OK, "mutual TLS", "off", "")
	} else {
		l.add(Note, "mutual TLS", mode, "services get the client's certificate in headers, as the monolith does. On this machine clients have no certificate")
	}
	l.certificate()
}

// certificate checks the certificate of a listener of HTTPS.
func (l *look) certificate() {
	if len(l.listener.Certificates) == 0 {
		l.add(Wrong, "certificate", "none", "%s needs a certificate: add one", l.listener)
		return
	}
	id := l.listener.Certificates[0].ARN
	at, here := parse(id), parse(l.listener.ARN)
	switch {
	case !strings.HasPrefix(at.rest, "certificate/"):
		l.add(Wrong, "certificate", id, "it is not one of ACM, which certificateArn has to be: import it into ACM, and give it to the listener")
	case at.region != here.region:
		l.add(Wrong, "certificate", "in "+at.region, "the listener is in %s, and takes certificates of its own region only: read the listener and its certificate at the same time", here.region)
	case at.account != here.account:
		l.add(Wrong, "certificate", "in account "+at.account, "the listener is in account %s, and takes certificates of its own account only: read the listener and its certificate at the same time", here.account)
	default:
		l.add(OK, "certificate", id, "")
	}
}

// monolith finds the target group of the monolith. Otherwise the problem says what to do.
func (a *Account) monolith(choice Choice, listener *Listener) (group *TargetGroup, problem string) {
	wanted := choice.Monolith
	if wanted == "" {
		var groups []string
		for _, action := range listener.DefaultActions {
			groups = append(groups, action.groups()...)
		}
		slices.Sort(groups)
		switch groups = slices.Compact(groups); len(groups) {
		case 0:
			var names []string
			for _, arn := range a.named() {
				names = append(names, GroupName(arn))
			}
			return nil, fmt.Sprintf("the default action of %s forwards to no target group: name the monolith's with --monolith NAME: %s", listener, words.Choice(names))
		case 1:
			wanted = groups[0]
		default:
			return nil, fmt.Sprintf("the default action of %s has several target groups: choose one of %s with --monolith NAME",
				listener, strings.Join(texts(groups, GroupName), ", "))
		}
	}
	var names []string
	for i := range a.TargetGroups {
		g := &a.TargetGroups[i]
		if g.ARN == wanted || g.Name == wanted {
			return g, ""
		}
		names = append(names, g.Name)
	}
	return nil, fmt.Sprintf("there is no target group %q in this account and region: %s", GroupName(wanted), words.Choice(names))
}

// targets checks the target group of the monolith, and who is behind it.
func (l *look) targets() {
	g := l.monolith
	subject := "target group " + g.Name
	protocol := g.Protocol
	if g.ProtocolVersion != "" && g.ProtocolVersion != "HTTP1" {
		protocol = g.ProtocolVersion
	}
	found := fmt.Sprintf("%s, type %s, in %s", cmp.Or(protocol, "no protocol"), cmp.Or(g.TargetType, "instance"), cmp.Or(g.VPCID, "no VPC"))
	switch {
	case g.TargetType == "lambda" || g.TargetType == "alb":
		l.add(Wrong, subject, found, "the monolith has to be of type instance or ip: choose its target group with --monolith NAME")
	case protocol != "HTTP" && protocol != "HTTPS":
		l.add(Wrong, subject, found, "services speak HTTP/1.1, and a share of a path has one protocol: choose a target group of HTTP or HTTPS with version HTTP1")
	case g.VPCID != l.lb.VPCID:
		l.add(Wrong, subject, found, "the load balancer is in %s: choose a target group of that VPC with --monolith NAME", l.lb.VPCID)
	case !slices.Contains(g.LoadBalancerARNs, l.lb.ARN):
		l.add(Wrong, subject, found+", not attached to "+l.lb.Name, "no listener of %s forwards to it: choose a target group that requests reach today", l.lb.Name)
	default:
		l.add(OK, subject, found, "")
	}

	for i, s := range l.Services {
		if s.behind(g.ARN) {
			l.behind = &l.Services[i]
			break
		}
	}
	healthy := 0
	for _, t := range l.Health {
		if t.TargetHealth.State == "healthy" {
			healthy++
		}
	}
	found = fmt.Sprintf("%d of %s healthy", healthy, words.Count(len(l.Health), "target"))
	if l.behind != nil {
		found = "service " + l.behind.Name + " of ECS, " + found
	}
	switch {
	case slices.Contains(l.Missing, "describe-target-health"):
		l.add(Note, "monolith", "targets not known", "save `aws elbv2 describe-target-health --target-group-arn %s` as describe-target-health.json to see them", g.ARN)
	case healthy == 0:
		l.add(Note, "monolith", found, "nothing answers for the monolith: start it before you move traffic")
	default:
		l.add(OK, "monolith", found, "")
	}
}

// quotas checks whether our rules and target groups have room at the load balancer, and their names.
func (l *look) quotas() {
	foreign := 0
	for _, r := range l.Rules {
		if !r.IsDefault && !l.ours(r) {
			foreign++
		}
	}
	groups, taken := 0, []string(nil)
	for _, g := range l.TargetGroups {
		named := l.needs != nil && slices.Contains(l.needs.Groups, g.Name)
		ours := named && slices.ContainsFunc(l.Rules, func(r Rule) bool { return l.ours(r) && slices.Contains(r.groups(), g.ARN) })
		if named && !ours {
			taken = append(taken, g.Name)
		}
		if !ours && slices.Contains(g.LoadBalancerARNs, l.lb.ARN) {
			groups++
		}
	}
	ask := func(subject string, used, needed, most int, raise string) {
		found := fmt.Sprintf("%d of %d are used", used, most)
		if l.needs != nil {
			found += fmt.Sprintf(", and services need %d", needed)
		}
		if used+needed > most {
			l.add(Wrong, subject, found, "a load balancer can have %d: %s", most, raise)
		} else {
			l.add(OK, subject, found, "")
		}
	}
	ask("rules", foreign, l.needs.rules(), config.MaxRules, "remove rules, or begin with fewer services; AWS raises the quota if you ask, and Cutover does not know of it")
	ask("target groups", groups, l.needs.groups(), config.MaxTargetGroups, "remove target groups, or begin with fewer services")
	switch {
	case l.needs == nil:
	case len(taken) > 0:
		l.add(Wrong, "names", "target groups "+strings.Join(taken, ", ")+" are there already", "services have target groups of these names: set namePrefix in cdk.json, as in \"cutover-\"")
	default:
		l.add(OK, "names", "no target group has the name of a service", "")
	}
}

// sameAccount checks whether all parts are in one account and region.
func (l *look) sameAccount() {
	here := parse(l.lb.ARN)
	found := "account " + here.account + ", region " + here.region
	parts := map[string]string{"listener": l.listener.ARN, "target group": l.monolith.ARN}
	if cluster := l.chosenCluster(); cluster != nil {
		parts["cluster"] = cluster.ARN
	}
	for _, part := range []string{"listener", "target group", "cluster"} {
		if parts[part] == "" {
			continue
		}
		if at := parse(parts[part]); at.account != here.account || at.region != here.region {
			l.add(Wrong, "account", fmt.Sprintf("%s in account %s, region %s", part, at.account, at.region),
				"the load balancer is in account %s, region %s: all parts have to be in one: read them with the same credentials and region", here.account, here.region)
			return
		}
	}
	l.add(OK, "account", found, "")
}

// LoadBalancerOf is the ARN of the load balancer of a listener, empty if the text is no ARN of a listener.
func LoadBalancerOf(listener string) string {
	arn := strings.Replace(listener, ":listener/", ":loadbalancer/", 1)
	if i := strings.LastIndex(arn, "/"); i > 0 && arn != listener {
		return arn[:i]
	}
	return ""
}

// Region is the region of the load balancer that is meant, if it is named by an ARN.
func Region(choice Choice) string { return parse(choice.LoadBalancer).region }
