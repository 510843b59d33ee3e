package database

import (
	"strings"
	"testing"
)

// Names go into SQL and URLs without quotes, and are nobody else's.
func TestCheck(t *testing.T) {
	for name, fine := range map[string]bool{
		"users": true, "u": true, "my_shop2": true, strings.Repeat("a", 63): true, "pga": true, "pg": true,
		"": false, "Users": false, "my-shop": false, "2users": false, "_users": false, strings.Repeat("a", 64): false, `a"; drop`: false, "ü": false, "users\n": false,
		"postgres": false, "template0": false, "template1": false, "rdsadmin": false, "rds_iam": false, "public": false, "pg_users": false, "none": false,
	} {
		err := check(name)
		if (err == nil) != fine {
			t.Errorf("%q: %v", name, err)
		}
		if steps, setup := Setup(name); (setup == nil) != fine || (steps == nil) == fine {
			t.Errorf("%q is set up with %v, %v", name, steps, setup)
		}
	}
}
