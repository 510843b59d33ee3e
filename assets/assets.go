// Package assets holds the files that go onto the instances and into the images.
package assets

import (
	_ "embed"
	"encoding/json"
	"strings"
	"text/template"
)

// Instances says what the instances have to have set up for the tasks that run there.
type Instances struct {
	// Linked lets a container reach the containers that it links.
	Linked bool
	// Interfaces keeps tasks with network interfaces of their own from the instance's metadata.
	Interfaces bool
	// Published lets containers reach the published ports of other containers.
	Published bool
}

// Attributes are the attributes of the instances that have all of it set up.
func (i Instances) Attributes() (names []string) {
	for _, one := range []struct {
		set  bool
		name string
	}{{i.Linked, "linked-containers"}, {i.Interfaces, "task-interfaces"}, {i.Published, "published-ports"}} {
		if one.set {
			names = append(names, one.name)
		}
	}
	return names
}

//go:embed user-data.sh
var userData string

// Variable is the value of ECS_INSTANCE_ATTRIBUTES.
func (i Instances) Variable() string {
	all := map[string]string{}
	for _, name := range i.Attributes() {
		all[name] = "true"
	}
	text, _ := json.Marshal(all) // texts alone
	return string(text)
}

// UserData returns the shell script that every instance runs at its first start, before
// it joins the cluster. It keeps containers apart, but for what the tasks need.
func UserData(of Instances) string {
	var script strings.Builder
	parsed := template.Must(template.New("user-data.sh").Parse(userData))
	if err := parsed.Execute(&script, of); err != nil {
		panic(err) // a mistake in the template
	}
	return strings.TrimSpace(script.String())
}
