// Package deployment lists what is deployed.
package deployment

import "cutover/examples/forum"

// App is what is deployed. It is the forum, an example: write your own list of services in its place.
var App = forum.Forum
