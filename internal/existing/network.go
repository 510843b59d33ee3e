package existing

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cutover/internal/words"
)

// way is how what is in a subnet reaches the internet.
type way int

const (
	private  way = iota // by a NAT gateway, a transit gateway or the like
	isolated            // not at all
	public              // by an internet gateway, with a public address only
	broken              // by something that is gone
)

const anywhere = "0.0.0.0/0"

// way returns the way of a subnet: that of its route table, or of the main one of the VPC.
func (a *Account) way(s Subnet) way {
	var table *RouteTable
	for i, t := range a.RouteTables {
		for _, association := range t.Associations {
			if association.SubnetID == s.ID || association.Main && t.VPCID == s.VPCID && table == nil {
				table = &a.RouteTables[i]
			}
			if association.SubnetID == s.ID {
				return table.way()
			}
		}
	}
	if table == nil {
		return isolated
	}
	return table.way()
}

func (t RouteTable) way() way {
	for _, r := range t.Routes {
		switch {
		case r.Destination != anywhere:
		case r.State == "blackhole":
			return broken
		case strings.HasPrefix(r.GatewayID, "igw-"):
			return public
		default:
			return private
		}
	}
	return isolated
}

// subnets chooses or checks the subnets of tasks.
func (l *look) subnets() []Subnet {
	known := slices.DeleteFunc(slices.Clone(l.Subnets), func(s Subnet) bool { return s.VPCID != l.lb.VPCID })
	slices.SortFunc(known, func(a, b Subnet) int { return strings.Compare(a.Zone+a.ID, b.Zone+b.ID) })
	wanted, from := l.choice.Subnets, "chosen"
	if len(wanted) == 0 && l.behind != nil {
		wanted, from = l.behind.Network.VPC.Subnets, "those of service "+l.behind.Name
	}
	var subnets []Subnet
	if len(wanted) > 0 {
		subnets = slices.DeleteFunc(slices.Clone(known), func(s Subnet) bool { return !slices.Contains(wanted, s.ID) })
		if missing := slices.DeleteFunc(slices.Clone(wanted), func(id string) bool {
			return slices.ContainsFunc(subnets, func(s Subnet) bool { return s.ID == id })
		}); len(missing) > 0 {
			l.add(Wrong, "subnets", strings.Join(missing, ", ")+" not in "+l.lb.VPCID, "tasks have to be in the VPC of the load balancer: give subnets of it with --subnets")
			return nil
		}
	}
	fits := func(s Subnet) bool { return slices.Contains(l.lb.zones(), s.Zone) && l.way(s) != public }
	if len(l.choice.Subnets) == 0 && (len(subnets) == 0 || slices.ContainsFunc(subnets, func(s Subnet) bool { return !fits(s) })) {
		subnets, from = slices.DeleteFunc(slices.Clone(known), func(s Subnet) bool { return !fits(s) }), "private ones of "+l.lb.VPCID
		if out := slices.DeleteFunc(slices.Clone(subnets), func(s Subnet) bool { return l.way(s) != private }); len(out) > 0 {
			subnets = out
		}
	}
	if len(subnets) == 0 {
		l.add(Wrong, "subnets", "no private subnet in a zone of the load balancer", "tasks have no public addresses, so they need subnets with a route to a NAT gateway, or to the endpoints of AWS: add such subnets to %s", l.lb.VPCID)
		return nil
	}
	l.add(OK, "subnets", fmt.Sprintf("%s, %s", strings.Join(texts(subnets, Subnet.id), ", "), from), "")
	l.zones(subnets)
	l.ways(subnets)
	return subnets
}

// zones checks the zones of subnets.
func (l *look) zones(subnets []Subnet) {
	var zones []string
	for _, s := range subnets {
		zones = append(zones, s.Zone)
	}
	slices.Sort(zones)
	zones = slices.Compact(zones)
	found := strings.Join(zones, ", ")
	outside := slices.DeleteFunc(slices.Clone(zones), func(zone string) bool { return slices.Contains(l.lb.zones(), zone) })
	switch {
	case len(outside) > 0:
		l.add(Wrong, "zones", found, "the load balancer sends nothing to %s: enable the zone for the load balancer, or give other subnets with --subnets", strings.Join(outside, ", "))
	case len(zones) < 2:
		l.add(Wrong, "zones", found, "services would go with this zone: give subnets in two zones with --subnets")
	default:
		l.add(OK, "zones", found, "")
	}
}

// ways checks how tasks in subnets reach AWS.
func (l *look) ways(subnets []Subnet) {
	by := map[way][]string{}
	for _, s := range subnets {
		by[l.way(s)] = append(by[l.way(s)], s.ID)
	}
	list := func(w way) string { return strings.Join(by[w], ", ") }
	switch {
	case len(by[public]) > 0:
		l.add(Wrong, "routes", list(public)+" public", "tasks get no public address, and would reach neither images nor AWS: give private subnets with --subnets")
	case len(by[broken]) > 0:
		l.add(Wrong, "routes", list(broken)+" to a gateway that is gone", "tasks would reach neither images nor AWS: repair the route to %s", anywhere)
	case len(by[isolated]) > 0:
		l.add(Note, "routes", list(isolated)+" without a route to "+anywhere, "tasks need endpoints in the VPC: ecr.api, ecr.dkr, s3, logs, ssm and secretsmanager, and on EC2 ecs, ecs-agent and ecs-telemetry")
	default:
		l.add(OK, "routes", "private, with a way out", "")
	}
}

// egress checks whether the security groups of the load balancer let it reach tasks in subnets. It returns
// the further groups of tasks: those that were chosen, or else those of the monolith that the load balancer reaches by group only.
func (l *look) egress(subnets []Subnet) (groups []string) {
	groups = slices.Sorted(slices.Values(l.choice.TaskSecurityGroups))
	if len(l.lb.SecurityGroups) == 0 || len(subnets) == 0 {
		return groups
	}
	subject := "security groups"
	found := strings.Join(slices.Sorted(slices.Values(l.lb.SecurityGroups)), ", ")
	candidates := groups
	if len(candidates) == 0 && l.behind != nil {
		candidates = slices.Sorted(slices.Values(l.behind.Network.VPC.SecurityGroups))
	}
	var known, ports, closed, byGroup, groupPorts []string
	for _, g := range l.SecurityGroups {
		if slices.Contains(l.lb.SecurityGroups, g.ID) {
			known = append(known, g.ID)
		}
	}
	permissions := l.permissions()
	for _, p := range permissions {
		for _, group := range p.Groups {
			if !slices.Contains(candidates, group.ID) {
				continue
			}
			byGroup = append(byGroup, group.ID)
			if !p.all() {
				groupPorts = append(groupPorts, p.ports())
			}
		}
	}
	for _, s := range subnets {
		all, some := false, []string(nil)
		for _, p := range permissions {
			if p.reaches(s.CIDR) {
				if p.all() {
					all = true
				} else {
					some = append(some, p.ports())
				}
			}
		}
		switch {
		case all:
		case len(some) > 0:
			ports = append(ports, some...)
		default:
			closed = append(closed, s.CIDR)
		}
	}
	slices.Sort(ports)
	switch {
	case len(known) < len(l.lb.SecurityGroups):
		l.add(Wrong, subject, found, "`aws ec2 describe-security-groups` does not have all of them: save it again with --group-ids and all their ids")
	case len(closed) > 0 && len(byGroup) > 0:
		slices.Sort(byGroup)
		groups = slices.Compact(slices.Sorted(slices.Values(append(groups, byGroup...))))
		reached := found + " let the load balancer reach " + strings.Join(slices.Compact(byGroup), ", ")
		if len(groupPorts) > 0 {
			slices.Sort(groupPorts)
			l.add(Note, subject, reached+" on port "+strings.Join(slices.Compact(groupPorts), ", ")+", which tasks get as a further group", "let services listen there")
		} else {
			l.add(OK, subject, reached+", which tasks get as a further group", "")
		}
	case len(closed) > 0:
		l.add(Wrong, subject, found+" let the load balancer reach no task in "+strings.Join(closed, ", "),
			"add a rule for egress to one of them: TCP, all ports, to %s. Cutover changes no security group that is not its own", strings.Join(closed, " and to "))
	case len(ports) > 0:
		l.add(Note, subject, found+" let the load balancer reach tasks on port "+strings.Join(slices.Compact(ports), ", "), "let services listen there; on EC2 in network mode bridge the ports are 32768 to 65535")
	default:
		l.add(OK, subject, found+" let the load balancer reach tasks", "")
	}
	return groups
}

// permissions are those for egress of the load balancer's groups, for TCP.
func (l *look) permissions() (all []Permission) {
	for _, g := range l.SecurityGroups {
		if !slices.Contains(l.lb.SecurityGroups, g.ID) {
			continue
		}
		for _, p := range g.Egress {
			if p.Protocol == "-1" || p.Protocol == "tcp" {
				all = append(all, p)
			}
		}
	}
	return all
}

// all says whether a permission is for each port that a task may have.
func (p Permission) all() bool { return p.Protocol == "-1" || p.FromPort <= 1 && p.ToPort == 65535 }

func (p Permission) ports() string {
	if p.FromPort == p.ToPort {
		return fmt.Sprint(p.FromPort)
	}
	return fmt.Sprintf("%d-%d", p.FromPort, p.ToPort)
}

// reaches says whether one of the ranges of a permission has all addresses of another range.
func (p Permission) reaches(cidr string) bool {
	to, err := netip.ParsePrefix(cidr)
	if err != nil {
		return false
	}
	for _, r := range p.Ranges {
		if from, err := netip.ParsePrefix(r.CIDR); err == nil && from.Bits() <= to.Bits() && from.Contains(to.Addr()) {
			return true
		}
	}
	return false
}

// is says whether a name or an ARN is that of the cluster.
func (c Cluster) is(name string) bool { return c.Name == name || c.ARN == name }

// chosenCluster is the cluster that is meant: the one that was chosen, or the one of the monolith's service.
func (l *look) chosenCluster() *Cluster {
	for i, c := range l.Clusters {
		if l.choice.Cluster != "" && c.is(l.choice.Cluster) || l.choice.Cluster == "" && !l.choice.OwnCluster && l.behind != nil && c.ARN == l.behind.ClusterARN {
			return &l.Clusters[i]
		}
	}
	return nil
}

// instances are the capacity providers of a cluster that have instances of ours.
func (c Cluster) instances() []string {
	return slices.DeleteFunc(slices.Clone(c.CapacityProviders), func(name string) bool { return name == "FARGATE" || name == "FARGATE_SPOT" })
}

// capacityProvider is the one for services on EC2, empty if there is none, or no telling which.
func (l *look) capacityProvider(c *Cluster) string {
	providers := c.instances()
	if l.choice.CapacityProvider != "" {
		return l.choice.CapacityProvider
	}
	if len(providers) == 1 {
		return providers[0]
	}
	var used []string
	if l.behind != nil {
		for _, s := range l.behind.Strategy {
			used = append(used, s.CapacityProvider)
		}
	}
	for _, s := range c.DefaultStrategy {
		used = append(used, s.CapacityProvider)
	}
	used = slices.DeleteFunc(used, func(name string) bool { return !slices.Contains(providers, name) })
	if len(used) > 0 {
		return used[0]
	}
	return ""
}

// cluster checks the cluster, and whether services can run there.
func (l *look) cluster() {
	const subject = "cluster"
	c := l.chosenCluster()
	if c == nil {
		var names []string
		for _, one := range l.Clusters {
			names = append(names, one.Name)
		}
		switch {
		case l.choice.OwnCluster:
			l.add(OK, subject, "one of the deployment's own", "")
		case l.choice.Cluster != "" && !slices.Contains(l.Missing, "describe-clusters"):
			l.add(Wrong, subject, l.choice.Cluster, "there is no such cluster in this account and region: %s", words.Choice(names))
		case slices.Contains(l.Missing, "describe-clusters"), slices.Contains(l.Missing, "describe-services"):
			l.add(Note, subject, "not known", "services get a cluster of their own. To put them into an existing one, save `aws ecs describe-clusters` and `aws ecs describe-services`, and name it with --cluster")
		default:
			l.add(Note, subject, "the monolith is no service of ECS", "services get a cluster of their own. To put them into an existing one, name it with --cluster: %s", words.Choice(names))
		}
		return
	}
	if c.Status != active {
		l.add(Wrong, subject, c.Name+" is "+c.Status, "nothing starts there: choose another cluster with --cluster")
		return
	}
	provider := l.capacityProvider(c)
	onEC2 := l.needs != nil && l.needs.kinds()["ec2"]
	found := c.Name + ": Fargate"
	switch {
	case l.choice.CapacityProvider != "" && !slices.Contains(c.instances(), l.choice.CapacityProvider):
		l.add(Wrong, subject, c.Name+" has no capacity provider "+l.choice.CapacityProvider+" with instances", "correct capacityProvider in cdk.json: %s", words.Choice(c.instances()))
	case provider != "":
		l.add(OK, subject, found+", and EC2 by capacity provider "+provider, "")
	case len(c.instances()) > 0:
		l.add(wrongIf(onEC2), subject, found+", and EC2 by one of "+strings.Join(c.instances(), ", "), "say which by capacityProvider in cdk.json, for services on EC2")
	case c.Instances > 0:
		l.add(OK, subject, found+", and EC2 on "+words.Count(c.Instances, "instance")+" without a capacity provider", "")
	case onEC2:
		l.add(Wrong, subject, found+" only: no instances and no capacity provider with instances", "services on EC2 do not start there: let their Compute be Fargate, or give the cluster a capacity provider")
	default:
		l.add(Note, subject, found+" only: no instances and no capacity provider with instances", "let the Compute of services be Fargate or Lambda")
	}
}

func wrongIf(wrong bool) State {
	if wrong {
		return Wrong
	}
	return Note
}
