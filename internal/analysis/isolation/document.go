package isolation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/internal/model"
	"cutover/internal/plain"
)

// Table is the grants in Markdown, with a line for each list of actions of an identity.
func (i *Isolation) Table() string {
	var rows []Grant
	for _, g := range i.Grants {
		if last := len(rows) - 1; last >= 0 && rows[last].Identity == g.Identity && rows[last].Effect == g.Effect &&
			rows[last].Condition == g.Condition && slices.Equal(rows[last].Actions, g.Actions) {
			rows[last].Resources = slices.Concat(rows[last].Resources, g.Resources)
			continue
		}
		rows = append(rows, g)
	}
	var b strings.Builder
	b.WriteString(grantHead)
	for _, g := range rows {
		may := map[string]string{"Allow": "may", "Deny": "may not"}[g.Effect]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", g.Identity, may, code(g.Actions), code(g.Resources), g.Condition)
	}
	return b.String()
}

const grantHead = "| identity | | actions | on | if |\n|---|---|---|---|---|\n"

func code(list []string) string { return "`" + strings.Join(list, "`<br>`") + "`" }

// Document is the text of docs/isolation.md: what dev grants, and what prod has more.
func Document(dev, prod *Isolation, services []string) string {
	var b strings.Builder
	mayNothing := "The task roles have no policy and so no line: a task may do nothing."
	if slices.ContainsFunc(dev.Grants, func(g Grant) bool { return strings.HasSuffix(g.Identity, taskRole) }) {
		mayNothing = "A task role has a line for what its service's `Permissions` and volumes\n  ask for. A task without a line may do nothing."
	}
	fmt.Fprintf(&b, head, Account, Region, mayNothing)
	b.WriteString(dev.Table())
	more(&b, dev, prod)
	dev.wildcards(&b)
	dev.takenOver(&b, services)
	if len(dev.Stores) > 0 {
		b.WriteString("\n## Who reaches which store\n\n" + dev.StoreTable(services))
	}
	if len(dev.Channels) > 0 {
		b.WriteString("\n## Who publishes and receives\n\n" + dev.ChannelTable())
	}
	dev.whatIsHanded(&b)
	b.WriteString("\n## Who may become an identity\n\n| identity | is assumed by | if |\n|---|---|---|\n")
	for _, t := range dev.Trusts {
		fmt.Fprintf(&b, "| %s | %s %s | %s |\n", t.Role, strings.ToLower(t.Kind), code(t.Principals), t.Condition)
	}
	fmt.Fprintf(&b, "\n## Who may connect to whom\n\nThe table is from the security groups. %s\n\n| from | to | ports |\n|---|---|---|\n", dev.whose())
	for _, r := range dev.Reaches {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.From, r.To, r.Ports)
	}
	if len(dev.Joined) > 0 {
		b.WriteString("\n- " + strings.Join(dev.Joined, "\n- ") + "\n")
	}
	if len(dev.Ways) > 0 {
		b.WriteString("\nBefore the load balancers, requests take these ways:\n\n- " + strings.Join(dev.Ways, "\n- ") + "\n")
	}
	dev.direct(&b)
	dev.apart(&b)
	return b.String()
}

// whose says whose security groups containers have.
func (i *Isolation) whose() string {
	switch {
	case len(i.Apart)+len(i.Interfaces) == 0:
		return "A container has the security group of its instance."
	case len(i.Shared) == 0:
		return "Each service has a security group for its tasks."
	case len(i.Interfaces) == 0:
		return "A container on EC2 has the security group of its instance.\nEach service on Fargate has one for its tasks."
	}
	return "A container in bridge mode has the security group of its\ninstance. Each service on Fargate, or with `NetworkMode` awsvpc, has one for its tasks."
}

// direct says which services reach each one past the load balancers, and what is open to more than those
// that call it.
func (i *Isolation) direct(b *strings.Builder) {
	b.WriteString("\nThe load balancer reaches every service. Past it, services reach each other only like this:\n\n| service | is reached by | at |\n|---|---|---|\n")
	toShared, fromShared := false, false
	for _, d := range i.Directly {
		from, at := "nobody", ""
		if len(d.From) > 0 {
			from, at = strings.Join(d.From, ", "), strings.Join(d.Ports, ", ")
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", d.Service, from, at)
		toShared = toShared || len(d.From) > 0 && slices.Contains(i.Shared, d.Service)
		fromShared = fromShared || slices.ContainsFunc(d.From, func(from string) bool { return slices.Contains(i.Shared, from) })
	}
	shared := strings.Join(i.Shared, ", ")
	if toShared {
		fmt.Fprintf(b, "\nContainers in bridge mode share the ports of their instances and one security group. So the published port of every container in\nbridge mode (%s) is open to whoever calls one of them.\n", shared)
	}
	if fromShared {
		fmt.Fprintf(b, "\nWhat one container in bridge mode (%s) may reach, all of them reach, whether they call it or not.\n", shared)
	}
}

// apart says what keeps containers apart beside the security groups.
func (i *Isolation) apart(b *strings.Builder) {
	if len(i.Shared) > 0 || len(i.Apart)+len(i.Interfaces) == 0 {
		text := "The instances' user data keeps containers apart from each\nother, from the instance and from its metadata."
		switch published := i.between(); {
		case published && len(i.Links) > 0:
			text = "Docker keeps them apart but for the links above and for\npublished ports, and an instance whose Docker does not gets no tasks. The user data keeps containers from all else on the instance and\nfrom its metadata."
		case published:
			text = "The instances' user data lets containers reach each\nother's published ports, and keeps them from all else on the instance and from its metadata."
		case len(i.Links) > 0:
			text = "Docker keeps them apart but for the links above, and\nan instance whose Docker does not gets no tasks. The user data keeps containers from the instance and from its metadata."
		}
		fmt.Fprintf(b, tail, text)
	}
	if len(i.Interfaces) > 0 {
		fmt.Fprintf(b, interfacesTail, strings.Join(i.Interfaces, ", "))
	}
	if len(i.Apart) > 0 {
		fmt.Fprintf(b, fargateTail, strings.Join(i.Apart, ", "))
	}
	if len(i.Functions) > 0 {
		var by []string
		for _, one := range [][2]string{{"elasticloadbalancing.amazonaws.com", "load balancers, for their target group"}, {model.APIGateway, "API Gateway, for its methods"}} {
			if slices.ContainsFunc(i.Grants, func(g Grant) bool {
				return g.Identity == "service "+one[0] && slices.Contains(g.Actions, "lambda:InvokeFunction")
			}) {
				by = append(by, one[1])
			}
		}
		invoked := ""
		if len(by) > 0 {
			invoked = "Lambda invokes it for whom the grants name: " + strings.Join(by, ", and ") + ".\n"
		}
		if i.Polled {
			invoked += "Lambda invokes it with what it takes from a queue or a stream, in the function's own role.\n"
		}
		fmt.Fprintf(b, functionsTail, strings.Join(i.Functions, ", "), invoked)
	}
}

// more writes the grants that only production has. Its stacks and its cluster have other names.
func more(b *strings.Builder, dev, prod *Isolation) {
	known := map[string]bool{}
	for line := range strings.Lines(dev.Table()) {
		known[line] = true
	}
	var lines []string
	for line := range strings.Lines(prod.Table()) {
		if !known[strings.NewReplacer("prod-", "dev-", "/prod", "/dev").Replace(line)] {
			lines = append(lines, line)
		}
	}
	b.WriteString("\nAn environment called `prod` has the same")
	if len(lines) == 0 {
		b.WriteString(" and no more.\n")
		return
	}
	b.WriteString(", and for its access logs and alarms:\n\n" + grantHead + strings.Join(lines, ""))
}

func (i *Isolation) wildcards(b *strings.Builder) {
	b.WriteString("\n`${…}` stands for a name that the deployment creates.\n\n## Wildcards\n\nAll wildcards, each with the reason why AWS offers nothing narrower.\n\n| actions | on | why |\n|---|---|---|\n")
	type granted struct{ actions, resources []string }
	wildcards := map[string]*granted{}
	for _, g := range i.Grants {
		for _, action := range g.Actions {
			for _, resource := range g.Resources {
				if g.Effect != "Allow" || !wildcard(action) && !wildcard(resource) {
					continue
				}
				why := g.why(action, resource)
				if wildcards[why] == nil {
					wildcards[why] = &granted{}
				}
				w := wildcards[why]
				w.actions, w.resources = append(w.actions, action), append(w.resources, resource)
			}
		}
	}
	distinct := func(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
	for _, why := range slices.Sorted(maps.Keys(wildcards)) {
		fmt.Fprintf(b, "| %s | %s | %s |\n", code(distinct(wildcards[why].actions)), code(distinct(wildcards[why].resources)), why)
	}
}

// why is the reason for a wildcard.
func (g Grant) why(action, resource string) string {
	switch {
	case otherwiseHeld(g.Identity):
		return "on nothing but the resource that says so"
	case notOurs[part(g.Identity)] != "":
		return notOurs[part(g.Identity)]
	case family[action] != "":
		return family[action]
	case resource == "*" && wholeResource[action] != "":
		return "takes no resource: " + wholeResource[action]
	case !wildcard(action) && partly(action, resource) != "":
		return partly(action, resource)
	case g.reasoned():
		return plain.Markdown(g.Reason)
	}
	return "**no reason is given**"
}

func (i *Isolation) takenOver(b *strings.Builder, services []string) {
	b.WriteString("\n## If a service is taken over\n\nWhat both roles of a service can do together, on every resource of the templates.\n\n")
	fmt.Fprintf(b, "| | %s |\n|---|%s\n", strings.Join(services, " | "), strings.Repeat("---|", len(services)))
	nothing := map[string]int{}
	for _, r := range i.Resources {
		var cells []string
		found := false
		for _, service := range services {
			var actions []string
			for _, family := range i.families[service] {
				for _, action := range slices.Concat(i.May(family+": task", r.ARN), i.May(family+": execution", r.ARN)) {
					if !slices.Contains(actions, action) {
						actions = append(actions, action)
					}
				}
			}
			if len(actions) == 0 {
				cells = append(cells, "–")
				continue
			}
			found = true
			cells = append(cells, code(actions))
		}
		if !found {
			nothing[r.Type]++
			continue
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", r.ARN, strings.Join(cells, " | "))
	}
	for _, kind := range slices.Sorted(maps.Keys(nothing)) {
		fmt.Fprintf(b, "| %d of type %s |%s\n", nothing[kind], kind, strings.Repeat(" – |", len(services)))
	}
}

const head = `# Who may do what

Written by ` + "`make golden`" + ` from the templates, as if they were deployed to account %s in %s. A test
fails if this page differs from the templates, or if a phase of the migration grants anything else.
[SECURITY.md](../SECURITY.md) says what follows.

## Grants

The table has all that the templates grant to anybody. A service has two identities:

- The task role belongs to the container. %s
- The execution role belongs to the ECS agent, which pulls the image and writes the log with it.

A service that scales adds no line. Application Auto Scaling sets its count with
[a role of its own](https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-service-linked-roles.html).
AWS makes this role in the account, and nobody else can assume it.

`

const tail = `
There is no security group between two containers on one instance. %s ` + "`go test ./test/instance`" + ` runs the user data and tests it.
`

const interfacesTail = `
A task with a network interface of its own (%s) shares the kernel of its instance, and no network. Its security group is between it and
every other task. The ECS agent [keeps it from the instance's metadata](https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-agent-config.html).
`

const fargateTail = `
A task on Fargate (%s) needs no packet filter. It
[shares no network interface, storage, processor or memory](https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-security-considerations.html)
with another task, so its security group is between it and every other one. The containers of one task reach each other.
`

const functionsTail = `
A function (%s) is in no VPC. So it reaches nothing there, but the internet and the public endpoints of AWS, and nobody reaches it by
the network. %sIt has one role.
`
