package assemblytest

import (
	"embed"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// beside has an assembly with a service, orders, and with what exists already: a load balancer with rules, the monolith and
// reports of somebody else. The rule and the number of tasks of the service are left open.
//
//go:embed beside
var beside embed.FS

// Beside writes an assembly for each position of a service, orders, that takes paths over from a monolith which exists already:
// in the directories monolith, parallel, share and switched. What exists already is described there. In monolith and parallel the
// rule of the service is parked; in share half of the requests go to the service. Where positions are named, only these are written.
func Beside(t testing.TB, dir string, positions ...string) {
	t.Helper()
	const (
		paths   = `{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api/orders*"]}}`
		parked  = `{"Field": "host-header", "HostHeaderConfig": {"Values": ["orders.parked.invalid"]}}`
		forward = `{"Type": "forward", "TargetGroupArn": {"Ref": "Group"}}`
		share   = `{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": {"Ref": "Group"}, "Weight": 50},
			{"TargetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/shop/2222222222222222", "Weight": 50}]}}`
	)
	files, err := beside.ReadDir("beside")
	if err != nil {
		t.Fatal(err)
	}
	for position, open := range map[string]*strings.Replacer{
		"monolith": strings.NewReplacer(`"CONDITION"`, parked, `"ACTION"`, forward, `"TASKS"`, "0"),
		"parallel": strings.NewReplacer(`"CONDITION"`, parked, `"ACTION"`, forward, `"TASKS"`, "1"),
		"share":    strings.NewReplacer(`"CONDITION"`, paths, `"ACTION"`, share, `"TASKS"`, "1"),
		"switched": strings.NewReplacer(`"CONDITION"`, paths, `"ACTION"`, forward, `"TASKS"`, "1"),
	} {
		if len(positions) > 0 && !slices.Contains(positions, position) {
			continue
		}
		at := filepath.Join(dir, position)
		if err := os.MkdirAll(at, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := beside.ReadFile("beside/" + file.Name())
			if err == nil {
				err = os.WriteFile(filepath.Join(at, file.Name()), []byte(open.Replace(string(text))), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
