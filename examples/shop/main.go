// The shop is a CDK app of its own: a monolith in Node.js, and the services that take its place.
//
// Run it in this directory, with the cdk command.
package main

import (
	"os"

	"cutover/examples/shop/deployment"
	"cutover/stacks"
)

func main() {
	os.Exit(stacks.Run(deployment.Shop))
}
