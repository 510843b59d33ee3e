// Package assets holds the files that go onto the instances and into the images.
package assets

import (
	_ "embed"
	"strings"
	"text/template"
)

// Linked is the attribute of an instance whose user data lets linked containers reach each other.
const Linked = "linked-containers"

//go:embed user-data.sh
var userData string

// UserData returns the shell script that every instance runs at its first start, before
// it joins the cluster. It keeps containers apart. If containers are linked, a container
// reaches those that it links, and no other.
func UserData(linked bool) string {
	var script strings.Builder
	parsed := template.Must(template.New("user-data.sh").Parse(userData))
	if err := parsed.Execute(&script, map[string]any{"Linked": linked, "Attribute": Linked}); err != nil {
		panic(err) // a mistake in the template
	}
	return strings.TrimSpace(script.String())
}
