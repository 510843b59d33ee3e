package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cutover/migration"
)

// Store is where a service keeps its records: in a [File], in a table of [DynamoDB], or in a database of
// [AuroraPostgreSQL].
type Store interface{ store() }

// File is a file in the image of the service. Nobody writes to it.
type File struct{}

// DynamoDB is a table of Amazon DynamoDB. The table belongs to the service, and has its name.
type DynamoDB struct{}

// AuroraPostgreSQL is a database in the environment's Aurora PostgreSQL cluster. The database and its user
// belong to the service, and have its name, with underscores for hyphens.
type AuroraPostgreSQL struct{}

func (File) store()             {}
func (DynamoDB) store()         {}
func (AuroraPostgreSQL) store() {}

// stores are the values of the setting store.
var stores = map[string]Store{"file": File{}, "dynamodb": DynamoDB{}, "postgres": AuroraPostgreSQL{}}

// Stored says whether the service keeps its records in a database.
func (s Service) Stored() bool {
	_, file := s.Store.(File)
	return s.Store != nil && !file
}

// StoresIn lists the services that keep their records in a store of type S.
func StoresIn[S Store](d Deployment) (services []Service) {
	for _, s := range d.All() {
		if _, ok := s.Store.(S); ok {
			services = append(services, s)
		}
	}
	return services
}

// Table is the name of the service's table, and Database that of its database and of the database's user.
func (s Service) Table(settings Settings) string { return settings.Name(settings.Env + "-" + s.Name) }

// Database is explained at Table.
func (s Service) Database() string { return strings.ReplaceAll(s.Name, "-", "_") }

// StoreVariable is the variable with the address of the service's store: USERS_TABLE has the name of a
// table, and USERS_DATABASE_URL is the URL of a database, without a password.
func (s Service) StoreVariable() string {
	if _, ok := s.Store.(DynamoDB); ok {
		return variable(s.Name, "TABLE")
	}
	return variable(s.Name, "DATABASE_URL")
}

// StoresOf lists the services whose stores a service uses: its own. The monolith uses those of all
// services until it is retired, since its modules answer for them.
func (d Deployment) StoresOf(s Service, at migration.Position) (owners []Service) {
	if s.Name == d.Monolith.Name && at.Phase < migration.Retired {
		// What a service makes of events belongs to it alone: the monolith has the records themselves.
		owners = d.that(func(owner Service) bool { return len(owner.Consumes) == 0 })
	} else {
		owners = []Service{s}
	}
	return slices.DeleteFunc(owners, func(owner Service) bool { return !owner.Stored() })
}

// stored gives the services that name no store the one of the setting, and lets those with a database call
// what they call with one.
func (d Deployment) stored(store Store) Deployment {
	d.Services = slices.Clone(d.Services)
	for i := range d.Services {
		s := &d.Services[i]
		if s.Store == nil {
			s.Store = store
		}
		if s.Stored() {
			s.Calls = slices.Clone(s.Calls)
			for _, name := range s.StoreCalls {
				if !slices.Contains(s.Calls, name) {
					s.Calls = append(s.Calls, name)
				}
			}
		}
	}
	if d.Monolith.Store == nil {
		d.Monolith.Store = File{}
	}
	return d
}

// DatabaseAdministrator is the administrator of the Aurora cluster. RDS makes and rotates its password.
const DatabaseAdministrator = "cutover"

// Capacity is the least and the most that an Aurora cluster has, in Aurora capacity units (ACUs) of 2 GiB
// of memory. With a least of 0 the cluster pauses when nobody is connected.
type Capacity struct{ Min, Max float64 }

// The bounds of the most capacity
// (https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ServerlessV2ScalingConfiguration.html).
const leastMaxACU, mostACU = 1, 256

var capacityFormat = regexp.MustCompile(`^([0-9]{1,3}(?:\.[05])?)-([0-9]{1,3}(?:\.[05])?)$`)

// capacity reads the fewest and the most ACUs, as in 0.5-8. The first requests after a pause are answered with
// 503 until the database is back. They would set off alarms, those of a canary among them.
func (r *reader) capacity(d Deployment, alarms bool) (c Capacity) {
	const key = "databaseCapacity"
	used := len(StoresIn[AuroraPostgreSQL](d)) > 0
	if r.set(key) && !used {
		r.refuse("%s: no service keeps its records in Aurora PostgreSQL: remove the setting, or set store to postgres", key)
	}
	text := r.text(key)
	if match := capacityFormat.FindStringSubmatch(text); match != nil {
		c.Min, _ = strconv.ParseFloat(match[1], 64) // the format has numbers only
		c.Max, _ = strconv.ParseFloat(match[2], 64)
	}
	if c.Max < leastMaxACU || c.Max > mostACU || c.Min > c.Max {
		r.refuse("%s: %q is not the fewest and the most Aurora capacity units: it looks like %q, in steps of 0.5, and the most is from %d to %d",
			key, text, fallback(key, production), leastMaxACU, mostACU)
	} else if used && alarms && c.Min == 0 {
		r.refuse("%s: %s lets the database pause, and the first requests after a pause set off alarms: set the fewest to 0.5 or more, as in \"0.5-2\", or alarms to off", key, text)
	}
	return c
}

// reservedFormat matches names of databases and users that PostgreSQL and RDS keep for themselves.
var reservedFormat = regexp.MustCompile(`^(pg_.*|rds.*|postgres|template[01]|public|none|` + DatabaseAdministrator + `)$`)

// checkStores refuses stores that AWS cannot make, or whose addresses and grants have no room.
func checkStores(d Deployment, s Settings, refuse func(string, ...any)) {
	groups := 1 // that the database admits: all tasks in bridge mode have that of the instances
	for _, service := range d.All() {
		at := func(format string, args ...any) {
			refuse("service %q: Store: %s", service.Name, fmt.Sprintf(format, args...))
		}
		switch service.Store.(type) {
		case File, DynamoDB:
		case AuroraPostgreSQL:
			if reservedFormat.MatchString(service.Database()) {
				at("PostgreSQL or RDS keeps the name %q of its database and user for itself: rename the service, or choose DynamoDB{}", service.Database())
			}
		default:
			at("it is no store: write File{}, DynamoDB{} or AuroraPostgreSQL{}, which are values and no pointers")
		}
		checkStoreVariables(d, service, at)
		uses, characters := d.StoresOf(service, migration.Position{}), 0
		database := false
		for _, owner := range uses {
			// The longest ARNs around the names: those of the partition aws-us-gov.
			if _, table := owner.Store.(DynamoDB); table {
				characters += len("arn:aws-us-gov:dynamodb:us-gov-west-1:123456789012:table/") + len(owner.Table(s))
			} else {
				characters += len("arn:aws-us-gov:rds-db:us-gov-west-1:123456789012:dbuser:cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ/") + len(owner.Database())
				database = true
			}
		}
		if characters > maxPolicyCharacters {
			at("the task role would name the stores of %d services in %d characters, and the policies of a role can have %d: let fewer services keep their records in a database", len(uses), characters, maxPolicyCharacters)
		}
		for _, pair := range service.Pairs() {
			if database && pair.AwsVPC() {
				groups++
			}
		}
	}
	if groups > maxGroupRules {
		refuse("services: the database needs %d rules of its security group, and a group can have %d: leave some services with AuroraPostgreSQL{} in bridge mode on EC2", groups, maxGroupRules)
	}
}

// checkStoreVariables refuses variables that the list gives to a service, and that have the address of a store.
func checkStoreVariables(d Deployment, service Service, refuse func(string, ...any)) {
	set := map[string]string{}
	for _, owner := range d.StoresOf(service, migration.Position{}) {
		set["AWS_REGION"] = "the region of the stores"
		set[owner.StoreVariable()] = fmt.Sprintf("the address of the store of %q", owner.Name)
	}
	for _, variable := range slices.Sorted(maps.Keys(set)) {
		if _, given := service.Environment[variable]; given {
			refuse("Environment has %s, which is %s: remove it there", variable, set[variable])
		}
		if _, given := service.Secrets[variable]; given {
			refuse("Secrets have %s, which is %s: remove it there", variable, set[variable])
		}
		for _, callee := range service.Calls {
			if callVariable(callee) == variable {
				refuse("%s is %s, and the address of %q, which it calls: rename %q", variable, set[variable], callee, callee)
			}
		}
	}
}
