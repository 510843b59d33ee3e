package isolation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Store is a table of DynamoDB, or a database of a cluster.
type Store struct {
	// Name is like "table dev-users", or "database users of dev-Data/Database".
	Name string
	// Service is the owner: the tag "service" of a table, or the service whose name a database has, with
	// underscores for hyphens. Empty if there is none.
	Service string
	// ARN is that of the table, or of the database's user.
	ARN string
	// Accesses are what roles may do with the store, sorted by their identities.
	Accesses []Access
}

// Access is what is left to a role when all policies are evaluated: those of the role and of the store.
type Access struct {
	// Identity is as in [Grant], and Service is that of the containers with the role. Empty for others.
	Identity, Service string
	// Actions are those of the statements, with their wildcards.
	Actions []string
	// Connects says that security groups let the tasks connect to the database, or that the key of a topic or a queue lets the
	// role use it. A table is reached by whoever reaches DynamoDB.
	Connects bool
}

// The services of AWS whose actions read, write or delete what tables and databases keep. Who reads the
// secret of a cluster's master user has all of its databases.
var (
	tableServices    = []string{"dynamodb"}
	databaseServices = []string{"rds-db", "rds-data", "rds", "secretsmanager"}
)

// stores evaluates who reaches the tables and databases.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html: within an account, a policy of the
// role or of the resource has to allow a request, and no policy may deny it.
func (r *reader) stores() {
	for _, table := range r.Tables {
		s := Store{Name: "table " + table.Name, Service: model.Tag(table.Resource, "service"), ARN: model.ARN(table.Resource, Account, Region)}
		for _, role := range r.Roles {
			r.access(&s, role, tableServices, table.Policy, true, s.ARN)
		}
		r.isolation.Stores = append(r.isolation.Stores, s)
	}
	for _, cluster := range r.DatabaseClusters {
		whole, secret := model.ARN(cluster.Resource, Account, Region), text(assembly.Ref{Resource: cluster.Resource, Attribute: "MasterUserSecret.SecretArn"})
		for _, user := range r.databases(cluster) {
			s := Store{Name: "database " + user + " of " + cluster.Key(), Service: r.named(user), ARN: r.databaseARN(cluster, user)}
			for _, role := range r.Roles {
				r.access(&s, role, databaseServices, nil, r.connects(role, cluster), s.ARN, whole, secret)
			}
			r.isolation.Stores = append(r.isolation.Stores, s)
		}
	}
	slices.SortFunc(r.isolation.Stores, func(a, b Store) int { return cmp.Compare(a.Name, b.Name) })
}

// databaseARN is what rds-db:connect is allowed on
// (https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html).
func (r *reader) databaseARN(c *model.DatabaseCluster, user string) string {
	return "arn:aws:rds-db:" + Region + ":" + Account + ":dbuser:" + text(assembly.Ref{Resource: c.Resource, Attribute: "DBClusterResourceId"}) + "/" + user
}

// databases are the users of a cluster that policies name, and the databases that variables name.
func (r *reader) databases(c *model.DatabaseCluster) []string {
	var users []string
	for _, g := range r.isolation.Grants {
		for _, resource := range g.Resources {
			if user, ok := strings.CutPrefix(resource, r.databaseARN(c, "")); ok && !wildcard(user) {
				users = append(users, user)
			}
		}
	}
	for _, d := range r.TaskDefinitions {
		for _, use := range r.Uses(d) {
			if use.Cluster == c {
				users = append(users, use.Database)
			}
		}
	}
	users = slices.DeleteFunc(users, func(user string) bool { return user == "" })
	slices.Sort(users)
	return slices.Compact(users)
}

// named is the service whose database has this name.
func (r *reader) named(database string) string {
	for service := range r.isolation.families {
		if strings.ReplaceAll(service, "-", "_") == database {
			return service
		}
	}
	return ""
}

// serviceOf is the service whose containers or function have a role. Empty for another role.
func (r *reader) serviceOf(role *model.Role) string {
	for _, d := range r.TaskDefinitions {
		if d.TaskRole == role || d.ExecutionRole == role {
			return cmp.Or(model.Tag(d.Resource, "service"), d.Family)
		}
	}
	for _, f := range r.Functions {
		if f.Role == role && f.Invoked {
			return f.Service()
		}
	}
	return ""
}

// connects says whether security groups let tasks with a role connect to a cluster.
func (r *reader) connects(role *model.Role, c *model.DatabaseCluster) bool {
	for _, s := range r.Services {
		if s.TaskDefinition == nil || s.TaskDefinition.TaskRole != role {
			continue
		}
		for _, from := range r.Network(s).Own {
			for _, to := range c.SecurityGroups {
				if slices.ContainsFunc(r.SecurityGroupRules, func(rule *model.SecurityGroupRule) bool {
					return rule.Ingress && rule.Group == to && (rule.Peer == from || rule.IPv4 == "0.0.0.0/0") && rule.FromPort <= c.Port && c.Port <= rule.ToPort && slices.Contains([]string{"tcp", "-1"}, rule.Protocol)
				}) {
					return true
				}
			}
		}
	}
	return false
}

// access adds what a role may do with a store. Whoever no policy allows anything is left out.
func (r *reader) access(s *Store, role *model.Role, services []string, policy []model.Statement, connects bool, arns ...string) {
	if actions := r.left(role, services, policy, arns...); len(actions) > 0 {
		s.Accesses = append(s.Accesses, Access{Identity: r.identities[role.Resource], Service: r.serviceOf(role), Actions: actions, Connects: connects})
		slices.SortFunc(s.Accesses, func(a, b Access) int { return cmp.Compare(a.Identity, b.Identity) })
	}
}

// left are the actions that policies leave to a role on a resource, which may have several ARNs. They are sorted.
func (r *reader) left(role *model.Role, services []string, policy []model.Statement, arns ...string) (actions []string) {
	var denied []string
	about := func(resource string) bool {
		return slices.ContainsFunc(arns, func(arn string) bool { return model.Matches(resource, arn) || strings.HasPrefix(resource, arn+"/") })
	}
	for _, g := range r.isolation.Grants {
		switch {
		case g.Identity != r.identities[role.Resource] || !slices.ContainsFunc(g.Resources, about):
		case g.Effect == "Allow":
			actions = append(actions, of(services, g.Actions)...)
		case g.Condition == "":
			denied = append(denied, g.Actions...)
		}
	}
	for _, statement := range policy {
		names := slices.ContainsFunc(texts(statement.Principals["AWS"]), func(p string) bool { return p == "*" || p == model.ARN(role.Resource, Account, Region) })
		always, never := holds(statement.Condition, role)
		switch {
		case !names:
		case statement.Effect == "Allow" && !never:
			actions = append(actions, of(services, texts(statement.Actions))...)
		case statement.Effect != "Allow" && always:
			denied = append(denied, texts(statement.Actions)...)
		}
	}
	actions = slices.DeleteFunc(actions, func(action string) bool {
		return slices.ContainsFunc(denied, func(p string) bool { return model.Matches(strings.ToLower(p), strings.ToLower(action)) })
	})
	slices.Sort(actions)
	return slices.Compact(actions)
}

// of are the actions of some services. What only describes or lists a resource tells nothing of its data, and of a topic or a queue nor
// does what gets its attributes.
func of(services, actions []string) []string {
	return slices.DeleteFunc(slices.Clone(actions), func(action string) bool {
		service, name, named := strings.Cut(strings.ToLower(action), ":")
		tells := []string{"describe", "list"}
		if service == "sns" || service == "sqs" {
			tells = append(tells, "get")
		}
		return named && (!slices.ContainsFunc(services, func(one string) bool { return model.Matches(service, one) }) ||
			slices.ContainsFunc(tells, func(beginning string) bool { return strings.HasPrefix(name, beginning) }))
	})
}

// holds says whether a condition surely holds for all requests of a role, or for none. Of a key that is not known here,
// nobody can be sure. A key that a request does not have fulfils what begins with "Not", and "IfExists".
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
func holds(condition map[string]map[string][]any, role *model.Role) (always, never bool) {
	always = true
	for operator, keys := range condition {
		for key, values := range keys {
			value, present := "", true
			if tag, ok := strings.CutPrefix(key, "aws:PrincipalTag/"); ok {
				value = model.Tag(role.Resource, tag)
				present = value != ""
			} else if key == "aws:PrincipalArn" {
				value = model.ARN(role.Resource, Account, Region)
			} else {
				always = false
				continue
			}
			base, ifExists := strings.CutSuffix(operator, "IfExists")
			var equal func(pattern, value string) bool
			switch base {
			case "StringEquals", "StringNotEquals":
				equal = func(pattern, value string) bool { return pattern == value }
			case "StringLike", "StringNotLike", "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike":
				equal = model.Matches
			default:
				always = false
				continue
			}
			not := strings.Contains(base, "Not")
			found := slices.ContainsFunc(texts(values), func(pattern string) bool { return equal(pattern, value) })
			if !present && !not && !ifExists || present && found == not {
				never = true
			}
		}
	}
	return always && !never, never
}

// isKept says whether an ARN is that of a store, of its stream, or of a topic or a queue of a service.
func (i *Isolation) isKept(arn string) bool {
	return slices.ContainsFunc(i.Stores, func(s Store) bool { return s.ARN == arn || strings.HasPrefix(arn, s.ARN+"/stream/") }) ||
		slices.ContainsFunc(i.Channels, func(c Channel) bool { return c.ARN == arn && c.Service != "" })
}

// Trespasses are the accesses to stores that are none of a service's own, and the stores that their
// owners do not reach. allowed says whether a service may use a store beside its owner, as a monolith does
// before it is retired.
func (i *Isolation) Trespasses(allowed func(service, owner string) bool) []string {
	var all []string
	for _, s := range i.Stores {
		owned := false
		for _, a := range s.Accesses {
			reads := runs(a.Identity)
			owned = owned || a.Service == s.Service && reads && a.Connects
			if s.Service == "" || !reads || a.Service != s.Service && !allowed(a.Service, s.Service) {
				all = append(all, fmt.Sprintf("%s may do %s on %s", a.Identity, strings.Join(a.Actions, ", "), s.Name))
			}
		}
		if s.Service != "" && !owned && len(i.families[s.Service]) > 0 {
			all = append(all, fmt.Sprintf("%s does not reach %s", s.Service, s.Name))
		}
	}
	return all
}

// StoreTable is who reaches which store, in Markdown, with a column for each service.
func (i *Isolation) StoreTable(services []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| store | %s |\n|---|%s\n", strings.Join(services, " | "), strings.Repeat("---|", len(services)))
	for _, s := range i.Stores {
		var cells []string
		for _, service := range services {
			var actions []string
			connects := false
			for _, a := range s.Accesses {
				if a.Service == service {
					actions, connects = append(actions, a.Actions...), connects || a.Connects
				}
			}
			slices.Sort(actions)
			cell := "–"
			if len(actions) > 0 {
				cell = code(slices.Compact(actions))
			}
			if len(actions) > 0 && !connects {
				cell += "<br>no security group lets its tasks connect"
			}
			cells = append(cells, cell)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", s.Name, strings.Join(cells, " | "))
	}
	return b.String()
}
