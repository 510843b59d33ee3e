// Package assets holds the files that go onto the instances and into the images.
package assets

import _ "embed"

// UserData is the shell script that every instance runs at its first start, before
// it joins the cluster.
//
//go:embed user-data.sh
var UserData string
