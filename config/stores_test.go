package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/migration"
)

// stored gives the services of the forum the stores of a list, in order. Nil leaves one to the setting.
func stored(stores ...config.Store) func(*config.Deployment) {
	return func(d *config.Deployment) {
		for i, store := range stores {
			d.Services[i].Store = store
		}
	}
}

// all makes one change of several.
func all(changes ...func(*config.Deployment)) func(*config.Deployment) {
	return func(d *config.Deployment) {
		for _, change := range changes {
			change(d)
		}
	}
}

func TestMistakesInStores(t *testing.T) {
	renamed := func(name string) func(*config.Deployment) {
		return func(d *config.Deployment) {
			d.Services[0] = config.Service{Name: name, Paths: []string{"/api/users*"}, Order: 10, Store: config.AuroraPostgreSQL{}}
		}
	}
	reserved := func(name, database string) mistake {
		return mistake{name: "database " + database, change: renamed(name),
			want: fmt.Sprintf(`service %q: Store: PostgreSQL or RDS keeps the name %q of its database and user for itself: rename the service, or choose DynamoDB{}`, name, database)}
	}
	capacity := func(text string) mistake {
		return mistake{name: "capacity " + text, context: context{"store": "postgres", "databaseCapacity": text},
			want: fmt.Sprintf(`databaseCapacity: %q is not the fewest and the most Aurora capacity units: it looks like "0.5-8", in steps of 0.5, and the most is from 1 to 256`, text)}
	}
	calls := func(calls, storeCalls []string) func(*config.Deployment) {
		return func(d *config.Deployment) { d.Services[0].Calls, d.Services[0].StoreCalls = calls, storeCalls }
	}
	environment := func(service *config.Service, names ...string) {
		service.Environment = map[string]string{}
		for _, name := range names {
			service.Environment[name] = "x"
		}
	}
	tests := []mistake{
		{name: "unknown store", context: context{"store": "dynamo"}, want: `store: "dynamo" is unknown: choose one of file, dynamodb, postgres`},
		{name: "store in another case", context: context{"store": "DynamoDB"}, want: `store: "DynamoDB" is unknown: choose one of file, dynamodb, postgres`},
		{name: "store that is no text", context: context{"store": 1.0}, want: `store: 1 is not a string`},
		{name: "pointer to a store", change: stored(&config.DynamoDB{}),
			want: `service "users": Store: it is no store: write File{}, DynamoDB{} or AuroraPostgreSQL{}, which are values and no pointers`},
		reserved("postgres", "postgres"), reserved("template0", "template0"), reserved("template1", "template1"), reserved("rdsadmin", "rdsadmin"),
		reserved("rds-iam", "rds_iam"), reserved("pg-monitor", "pg_monitor"), reserved("public", "public"), reserved("none", "none"), reserved("cutover", "cutover"),
		{name: "the stack of the data", context: context{"store": "dynamodb"}, change: with(config.Service{Name: "data", Paths: []string{"/data*"}, Order: 40}),
			want: `the stack of tables and databases: its stack is called Data, like that of service "data": rename one`},
		{name: "capacity of no database", context: context{"store": "dynamodb", "databaseCapacity": "0-2"},
			want: `databaseCapacity: no service keeps its records in Aurora PostgreSQL: remove the setting, or set store to postgres`},
		capacity("2"), capacity("0-0.5"), capacity("0-256.5"), capacity("0-257"), capacity("4-2"), capacity("0.25-2"), capacity("0-2.2"), capacity("-1-2"), capacity("NaN-2"), capacity("0 - 2"), capacity("0-"),
		{name: "capacity that is no text", context: context{"store": "postgres", "databaseCapacity": 2.0}, want: `databaseCapacity: 2 is not a string`},
		{name: "pauses with alarms", context: context{"store": "postgres", "alarms": "on"},
			want: `databaseCapacity: 0-2 lets the database pause, and the first requests after a pause set off alarms: set the fewest to 0.5 or more, as in "0.5-2", or alarms to off`},
		{name: "data protection", context: context{"dataProtection": "yes"}, want: `dataProtection: "yes" is unknown: choose one of on, off`},
		{name: "variables of a table", context: context{"store": "dynamodb"}, change: func(d *config.Deployment) { environment(&d.Services[0], "USERS_TABLE", "AWS_REGION") },
			want: "service \"users\": Store: Environment has AWS_REGION, which is the region of the stores: remove it there\n" +
				`service "users": Store: Environment has USERS_TABLE, which is the address of the store of "users": remove it there`},
		{name: "variable of a database among secrets", context: context{"store": "postgres"}, change: func(d *config.Deployment) {
			d.Services[1].Secrets = map[string]config.Secret{"THREADS_DATABASE_URL": {Parameter: "url"}}
		}, want: `service "threads": Store: Secrets have THREADS_DATABASE_URL, which is the address of the store of "threads": remove it there`},
		{name: "variable of the monolith", context: context{"store": "dynamodb", "phase": "retired"}, change: func(d *config.Deployment) { environment(&d.Monolith, "THREADS_TABLE") },
			want: `service "api": Store: Environment has THREADS_TABLE, which is the address of the store of "threads": remove it there`},
		{name: "variable of a call", context: context{"store": "postgres"}, change: all(with(config.Service{Name: "users-database", Paths: []string{"/x*"}, Order: 40}), calls([]string{"users-database"}, nil)),
			want: `service "users": Store: USERS_DATABASE_URL is the address of the store of "users", and the address of "users-database", which it calls: rename "users-database"`},
		{name: "unknown call with a file", change: calls(nil, []string{"posts"}), want: `service "users": StoreCalls "posts": there is no such service: choose from api, users, threads`},
		{name: "unknown call with a table", context: context{"store": "dynamodb"}, change: calls(nil, []string{"posts"}), want: `service "users": StoreCalls "posts": there is no such service: choose from api, users, threads`},
		{name: "call of itself", change: calls(nil, []string{"users"}), want: `service "users": StoreCalls "users": a service does not call itself: remove it`},
		{name: "call listed in both", change: calls([]string{"threads"}, []string{"threads"}), want: "<nil>"},
		{name: "call listed in both, with a table", context: context{"store": "dynamodb"}, change: calls([]string{"threads"}, []string{"threads"}), want: "<nil>"},
		{name: "call listed twice", change: calls([]string{"threads"}, []string{"threads", "threads"}), want: `service "users": StoreCalls "threads": it is listed twice: remove one`},
		{name: "unknown call beside those of the store", context: context{"store": "dynamodb"}, change: calls([]string{"posts"}, []string{"threads"}),
			want: `service "users": Calls "posts": there is no such service: choose from api, users, threads`},
		{name: "call from a database to a file", change: all(stored(config.DynamoDB{}), calls(nil, []string{"threads"})),
			want: `service "users": StoreCalls "threads": "users" keeps its records in a database, and "threads" in a file, which knows none of them: give both a database, or neither`},
		{name: "calls with a certificate and no domain", change: calls(nil, []string{"threads"}), context: context{"store": "dynamodb", "certificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"},
			want: `service "users": StoreCalls "threads": the first load balancer has a certificate, which is not for the name that AWS gives it: set domain to a name that leads to it, or let Discovery of "threads" begin with another way`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := forum()
			if test.change != nil {
				test.change(&d)
			}
			_, _, err := config.Load(d, test.context, func(string) string { return "" })
			if got := fmt.Sprint(err); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// A role and a security group have room for so many stores.
func TestRoomForStores(t *testing.T) {
	load := func(store config.Store, n int, compute config.Compute) string {
		d := forum()
		services(50, 50, 50)(&d)
		for i := range n {
			d.Services[i].Store, d.Services[i].Compute = store, compute
		}
		_, _, err := config.Load(d, context{"maxInstances": "100"}, func(string) string { return "" })
		return fmt.Sprint(err)
	}
	tests := []struct {
		name    string
		store   config.Store
		fits    int
		compute config.Compute
		want    string
	}{
		// 57 characters before the name of a table, and 91 before that of a database.
		{"tables", config.DynamoDB{}, 145, nil,
			`service "api": Store: the task role would name the stores of 146 services in 10256 characters, and the policies of a role can have 10240: let fewer services keep their records in a database`},
		{"databases", config.AuroraPostgreSQL{}, 102, nil,
			`service "api": Store: the task role would name the stores of 103 services in 10293 characters, and the policies of a role can have 10240: let fewer services keep their records in a database`},
		{"security groups", config.AuroraPostgreSQL{}, 59, config.Fargate{},
			`services: the database needs 61 rules of its security group, and a group can have 60: leave some services with AuroraPostgreSQL{} in bridge mode on EC2`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := load(test.store, test.fits, test.compute); strings.Contains(got, "Store") || strings.Contains(got, "database") {
				t.Errorf("%d: %s", test.fits, got)
			}
			if got := load(test.store, test.fits+1, test.compute); !strings.Contains(got, test.want) {
				t.Errorf("%d: got\n%s\nwant\n%s", test.fits+1, got, test.want)
			}
		})
	}
}

// The monolith uses the stores of all services until it is retired, and its own.
func TestStoresOf(t *testing.T) {
	d := forum()
	with(config.Service{Name: "order-items", Paths: []string{"/items*"}, Order: 50, Store: config.AuroraPostgreSQL{}},
		config.Service{Name: "pages", Paths: []string{"/pages*"}, Order: 60, Store: config.File{}})(&d)
	d.Monolith.Store = config.DynamoDB{}
	d, settings, err := config.Load(d, context{"store": "dynamodb", "namePrefix": "eu-", "env": "test", "databaseCapacity": "1.5-256"}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	of := func(name string, phase migration.Phase) (variables []string) {
		for _, s := range d.All() {
			if s.Name == name {
				for _, owner := range d.StoresOf(s, migration.Position{Phase: phase}) {
					variables = append(variables, owner.StoreVariable())
				}
			}
		}
		return variables
	}
	everything := []string{"API_TABLE", "USERS_TABLE", "THREADS_TABLE", "ORDER_ITEMS_DATABASE_URL"}
	for _, test := range []struct {
		service string
		phase   migration.Phase
		want    []string
	}{
		{"api", migration.Monolith, everything}, {"api", migration.Switched, everything}, {"api", migration.Retired, []string{"API_TABLE"}}, {"api", migration.Removed, []string{"API_TABLE"}},
		{"users", migration.Monolith, []string{"USERS_TABLE"}}, {"order-items", migration.Removed, []string{"ORDER_ITEMS_DATABASE_URL"}}, {"pages", migration.Parallel, nil},
	} {
		if diff := cmp.Diff(test.want, of(test.service, test.phase)); diff != "" {
			t.Errorf("%s in %s (-want +got):\n%s", test.service, test.phase, diff)
		}
	}
	items := d.Services[2]
	got := []any{items.Table(settings), items.Database(), settings.DatabaseCapacity}
	if diff := cmp.Diff([]any{"eu-test-order-items", "order_items", config.Capacity{Min: 1.5, Max: 256}}, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}
