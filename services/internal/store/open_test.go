package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/services/internal/store"
)

// password is a password of nobody.
const password = "secret"

// A mistake in a variable is told when the service starts, by the variable's name and without a password.
func TestOpen(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(broken, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	account := map[string]string{"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
	role := map[string]string{"AWS_REGION": "eu-central-1", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1"}
	database := "postgresql://users@db.example.com:5433/users?sslmode=verify-full"
	for name, test := range map[string]struct {
		account   map[string]string
		variables map[string]string
		want      string // of the error; "none" and "store" if there is no error
	}{
		"nothing":               {nil, nil, "none"},
		"of another module":     {account, map[string]string{"POSTS_TABLE": "dev-posts"}, "none"},
		"table":                 {account, map[string]string{"MY_USERS_TABLE": "dev-users"}, "store"},
		"table, role":           {role, map[string]string{"MY_USERS_TABLE": "dev-users"}, "store"},
		"table here":            {account, map[string]string{"MY_USERS_TABLE": "dev-users", "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:8000"}, "store"},
		"database":              {account, map[string]string{"MY_USERS_DATABASE_URL": database}, "store"},
		"database, role":        {role, map[string]string{"MY_USERS_DATABASE_URL": database}, "store"},
		"database by password":  {nil, map[string]string{"MY_USERS_DATABASE_URL": "postgres://users:" + password + "@localhost/users"}, "store"},
		"both":                  {account, map[string]string{"MY_USERS_TABLE": "dev-users", "MY_USERS_DATABASE_URL": database}, "MY_USERS_TABLE and MY_USERS_DATABASE_URL are both set"},
		"table's name":          {account, map[string]string{"MY_USERS_TABLE": "dev users"}, "MY_USERS_TABLE: \"dev users\" is no name of a table"},
		"short name":            {account, map[string]string{"MY_USERS_TABLE": "ab"}, "MY_USERS_TABLE: \"ab\" is no name of a table"},
		"region":                {nil, map[string]string{"MY_USERS_TABLE": "dev-users", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, "MY_USERS_TABLE: AWS_REGION is \"\""},
		"wrong region":          {account, map[string]string{"MY_USERS_TABLE": "dev-users", "AWS_REGION": "eu central"}, "AWS_REGION is \"eu central\""},
		"no credentials":        {nil, map[string]string{"MY_USERS_TABLE": "dev-users", "AWS_REGION": "eu-central-1"}, "MY_USERS_TABLE: no credentials"},
		"half of credentials":   {nil, map[string]string{"MY_USERS_DATABASE_URL": database, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a"}, "MY_USERS_DATABASE_URL: no credentials"},
		"endpoint":              {account, map[string]string{"MY_USERS_TABLE": "dev-users", "AWS_ENDPOINT_URL_DYNAMODB": "localhost:8000"}, "AWS_ENDPOINT_URL_DYNAMODB is \"localhost:8000\""},
		"endpoint without host": {account, map[string]string{"MY_USERS_TABLE": "dev-users", "AWS_ENDPOINT_URL_DYNAMODB": "http://"}, "AWS_ENDPOINT_URL_DYNAMODB is \"http://\""},
		"no URL":                {account, map[string]string{"MY_USERS_DATABASE_URL": "host=localhost password=secret"}, "MY_USERS_DATABASE_URL: give a URL such as"},
		"wrong URL":             {account, map[string]string{"MY_USERS_DATABASE_URL": "postgresql://users:" + password + "@%zz/users"}, "MY_USERS_DATABASE_URL: give a URL such as"},
		"other database":        {account, map[string]string{"MY_USERS_DATABASE_URL": "mysql://users:" + password + "@localhost/users"}, "MY_USERS_DATABASE_URL: give a URL such as"},
		"no user":               {account, map[string]string{"MY_USERS_DATABASE_URL": "postgresql://localhost/users"}, "MY_USERS_DATABASE_URL: give a URL such as"},
		"no host":               {account, map[string]string{"MY_USERS_DATABASE_URL": "postgresql://users:" + password + "@/users"}, "MY_USERS_DATABASE_URL: give a URL such as"},
		"no database":           {account, map[string]string{"MY_USERS_DATABASE_URL": "postgresql://users:" + password + "@localhost/"}, "MY_USERS_DATABASE_URL: give a URL such as"},
		"no password, no TLS":   {account, map[string]string{"MY_USERS_DATABASE_URL": "postgresql://users@localhost/users"}, "sslmode=verify-full"},
		"no password, require":  {account, map[string]string{"MY_USERS_DATABASE_URL": "postgresql://users@localhost/users?sslmode=require"}, "sslmode=verify-full"},
		"no password, names":    {account, map[string]string{"MY_USERS_DATABASE_URL": "postgresql://users@localhost/users?sslmode=verify-ca"}, "sslmode=verify-full"},
		"no password, hosts":    {account, map[string]string{"MY_USERS_DATABASE_URL": "postgresql://users@a:1,b:2/users?sslmode=verify-full"}, "MY_USERS_DATABASE_URL: "},
		"wrong mode":            {account, map[string]string{"MY_USERS_DATABASE_URL": "postgresql://users:" + password + "@localhost/users?sslmode=full"}, "MY_USERS_DATABASE_URL: the URL is wrong: sslmode is invalid"},
		"wrong size of pool":    {account, map[string]string{"MY_USERS_DATABASE_URL": "postgresql://users:" + password + "@localhost/users?pool_max_conns=many"}, "MY_USERS_DATABASE_URL: the URL is wrong: "},
		"timeout, table":        {account, map[string]string{"MY_USERS_TABLE": "dev-users", "STORE_TIMEOUT": "10ms"}, "store"},
		"timeout, database":     {account, map[string]string{"MY_USERS_DATABASE_URL": database, "STORE_TIMEOUT": "1h"}, "store"},
		"no timeout":            {account, map[string]string{"MY_USERS_TABLE": "dev-users", "STORE_TIMEOUT": "2"}, "MY_USERS_TABLE: STORE_TIMEOUT is \"2\": give a duration"},
		"short timeout":         {account, map[string]string{"MY_USERS_DATABASE_URL": database, "STORE_TIMEOUT": "9ms"}, "MY_USERS_DATABASE_URL: STORE_TIMEOUT is \"9ms\""},
		"long timeout":          {account, map[string]string{"MY_USERS_DATABASE_URL": database, "STORE_TIMEOUT": "61m"}, "MY_USERS_DATABASE_URL: STORE_TIMEOUT is \"61m\""},
		"unknown region":        {account, map[string]string{"MY_USERS_DATABASE_URL": database, "AWS_REGION": "eu-central-9"}, "the certificates of Amazon RDS in eu-central-9 are not in this program: set PGSSLROOTCERT"},
		"half a region":         {account, map[string]string{"MY_USERS_DATABASE_URL": database, "AWS_REGION": "eu-central"}, "the certificates of Amazon RDS in eu-central are"},
		"no certificates":       {account, map[string]string{"MY_USERS_DATABASE_URL": database, "PGSSLROOTCERT": "/nowhere.pem"}, "/nowhere.pem"},
		"wrong certificates":    {account, map[string]string{"MY_USERS_DATABASE_URL": database, "PGSSLROOTCERT": broken}, "MY_USERS_DATABASE_URL: the URL is wrong: "},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := store.Open("my-users", func(name string) string {
				if value, ok := test.variables[name]; ok {
					return value
				}
				return test.account[name]
			})
			got := "store"
			switch {
			case err != nil:
				got = err.Error()
			case s == nil:
				got = "none"
			default:
				_ = s.Close()
			}
			if !strings.Contains(got, test.want) || strings.Contains(got, "secret") || err != nil && s != nil {
				t.Errorf("%v, %s", s, got)
			}
		})
	}
}
