// Forum is the CDK app of the forum, whatever is deployed.
package main

import (
	"os"

	"cutover/deployment"
	"cutover/stacks"
)

func main() {
	os.Exit(stacks.Run(deployment.Forum))
}
