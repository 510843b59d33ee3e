package config

import (
	"math"
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
	prefix := strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
	if _, ok := s.Store.(DynamoDB); ok {
		return prefix + "_TABLE"
	}
	return prefix + "_DATABASE_URL"
}

// StoresOf lists the services whose stores a service uses: its own. The monolith uses those of all
// services until it is retired, since its modules answer for them.
func (d Deployment) StoresOf(s Service, at migration.Position) (owners []Service) {
	if s.Name == d.Monolith.Name && at.Phase < migration.Retired {
		owners = d.All()
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
			s.Calls = append(slices.Clone(s.Calls), s.StoreCalls...)
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

// The bounds of a capacity
// (https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ServerlessV2ScalingConfiguration.html).
const leastMaxACU, mostACU = 1, 256

// capacity reads the fewest and the most ACUs, as in 0.5-8.
func (r *reader) capacity(key string) (c Capacity) {
	text := r.text(key)
	least, most, _ := strings.Cut(text, "-")
	var err, err2 error
	c.Min, err = strconv.ParseFloat(least, 64)
	c.Max, err2 = strconv.ParseFloat(most, 64)
	whole := func(acu float64) bool { return acu*2 == math.Trunc(acu*2) }
	if err != nil || err2 != nil || !whole(c.Min) || !whole(c.Max) || c.Min < 0 || c.Max < leastMaxACU || c.Max > mostACU || c.Min > c.Max {
		r.refuse("%s: %q is not the fewest and the most Aurora capacity units: it looks like %q, with steps of 0.5, the fewest from 0 and the most from %d to %d",
			key, text, fallback(key, production), leastMaxACU, mostACU)
	}
	return c
}
