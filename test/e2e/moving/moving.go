// Package moving has the forum with services on a compute, or on the way to another one.
package moving

import (
	"slices"
	"strings"

	"cutover/config"
	"cutover/deployment"
	"cutover/migration"
)

// Variable is the environment variable that tells the app which services move.
const Variable = "MOVES"

// Of returns the forum in which services are on a compute or move, as in "api=ec2>fargate,users=fargate".
func Of(text string) config.Deployment {
	kinds := map[string]config.Compute{migration.EC2: config.EC2{}, migration.Fargate: config.Fargate{}, migration.Lambda: config.Lambda{}}
	d := deployment.Forum
	d.Services = slices.Clone(d.Services)
	for part := range strings.SplitSeq(text, ",") {
		name, way, _ := strings.Cut(part, "=")
		from, to, _ := strings.Cut(way, ">")
		if name == d.Monolith.Name {
			d.Monolith.Compute, d.Monolith.Next = kinds[from], kinds[to]
		}
		for i := range d.Services {
			if d.Services[i].Name == name {
				d.Services[i].Compute, d.Services[i].Next = kinds[from], kinds[to]
			}
		}
	}
	return d
}
