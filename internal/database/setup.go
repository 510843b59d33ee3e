// Package database says with which SQL the database and the user of a service come into being, in the
// environment's PostgreSQL cluster: on AWS through the Data API, and on this machine. It runs no SQL.
package database

import (
	"fmt"
	"regexp"
	"slices"
)

// Administration is the database in which a cluster's administrator makes users and databases.
const Administration = "postgres"

// IAMRole is the role whose members log in with a token of IAM, and with no password.
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.DBAccounts.html
const IAMRole = "rds_iam"

// Step is a statement of SQL that need not run twice.
type Step struct {
	// Does says what the statement does, as in "make the user users".
	Does string
	// Database is where the two statements run.
	Database string
	// Done is a query that gives one row if nothing is to do, and none otherwise.
	Done string
	// SQL is one statement. It runs outside of a transaction, which CREATE DATABASE asks for.
	SQL string
}

// nameable matches the names that need no quotes in SQL and in a URL. PostgreSQL cuts names after 63 bytes.
// https://www.postgresql.org/docs/current/sql-syntax-lexical.html
var nameable = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// taken are names of databases, users and roles that a cluster has already.
var taken = []string{Administration, "template0", "template1", "rdsadmin", "rds_superuser", "rds_password", "rds_replication", IAMRole, "public", "none"}

// check refuses names that neither a database nor a user of a service can have.
func check(name string) error {
	switch {
	case !nameable.MatchString(name):
		return fmt.Errorf("%q cannot be the name of a database and its user: give a lower-case letter, and then at most 62 lower-case letters, digits and underscores", name)
	case slices.Contains(taken, name) || len(name) > 2 && name[:3] == "pg_":
		return fmt.Errorf("%q cannot be the name of a database and its user: PostgreSQL or Amazon RDS has the name already", name)
	}
	return nil
}

// Closed are the steps by which only administrators connect to the databases that a cluster has from the
// beginning.
func Closed() (steps []Step) {
	for _, name := range []string{Administration, "template1"} {
		steps = append(steps, closed(name))
	}
	return steps
}

// closed takes from everybody what PostgreSQL gives to everybody in a database.
// https://www.postgresql.org/docs/current/ddl-priv.html
func closed(name string) Step {
	return Step{
		"close the database " + name + " to others", Administration,
		fmt.Sprintf(`SELECT 1 WHERE NOT has_database_privilege('public', '%s', 'CONNECT, TEMPORARY')`, name),
		fmt.Sprintf(`REVOKE CONNECT, TEMPORARY ON DATABASE "%s" FROM PUBLIC`, name),
	}
}

// Setup are the steps by which a service gets a database and a user, both of one name. Only this user
// connects to the database, with a token of IAM, and makes tables in the schema public. The database
// belongs to the administrator, so the user cannot drop it. A name that [check] refuses is refused.
func Setup(name string) ([]Step, error) {
	if err := check(name); err != nil {
		return nil, err
	}
	return []Step{
		{
			"make the user " + name, Administration,
			fmt.Sprintf(`SELECT 1 FROM pg_roles WHERE rolname = '%s'`, name),
			fmt.Sprintf(`CREATE ROLE "%s" LOGIN`, name),
		}, {
			"let the user " + name + " log in with tokens of IAM", Administration,
			fmt.Sprintf(`SELECT 1 WHERE pg_has_role('%s', '%s', 'MEMBER')`, name, IAMRole),
			fmt.Sprintf(`GRANT %s TO "%s"`, IAMRole, name),
		}, {
			"make the database " + name, Administration,
			fmt.Sprintf(`SELECT 1 FROM pg_database WHERE datname = '%s'`, name),
			fmt.Sprintf(`CREATE DATABASE "%s"`, name),
		},
		closed(name),
		{
			"let the user " + name + " connect to the database " + name, Administration,
			fmt.Sprintf(`SELECT 1 WHERE has_database_privilege('%[1]s', '%[1]s', 'CONNECT')`, name),
			fmt.Sprintf(`GRANT CONNECT ON DATABASE "%[1]s" TO "%[1]s"`, name),
		}, {
			"let the user " + name + " make tables in the database " + name, name,
			fmt.Sprintf(`SELECT 1 WHERE has_schema_privilege('%s', 'public', 'CREATE')`, name),
			fmt.Sprintf(`GRANT USAGE, CREATE ON SCHEMA public TO "%s"`, name),
		},
	}, nil
}
