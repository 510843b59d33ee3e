// Package e2e deploys Cutover with the real CDK CLI to the AWS that internal/emulate emulates: bootstrap, every phase
// forward and back, the deployments that CloudFormation has to refuse, a canary, and destroy. After each deployment it
// reads back what is there through the AWS SDK. It compares that with the specification. The numbers of the specification
// are written out here: nothing comes from the app's own constants. The CLI builds and pushes images, and the test pulls
// them from the registry and runs them. Beside that, a second test moves single services, a third one moves services from
// EC2 to Fargate and back, and one of them on to Lambda. A fourth one puts API Gateway and CloudFront before the load
// balancer. A fifth one deploys the services with events, changes them, and switches them off and on. A sixth one puts
// services beside a shop that another app has deployed, and looks that nothing of it changes. A seventh one runs the tutorial.
//
// Run it with
//
//	CUTOVER_E2E=1 go test -count=1 -v -timeout 15m ./test/e2e
//
// It needs the programs of emulate.Missing and of package-lock.json ("npm ci"). If a program is missing, the test says so
// and skips. With CI=true or CUTOVER_E2E=required, it fails.
//
// The test asserts nothing about resources that the emulator only records: AWS::EC2::FlowLog,
// AWS::Logs::QueryDefinition, Custom::VpcRestrictDefaultSG (the closed default security group), and every type that is added
// without a handler in internal/emulate/cloudformation. It fails if a deployment contains a type that
// is not in its list. The emulator creates the VPC with all its parts, the instances and the IAM policies, but the tests
// of the templates look at those. The emulator starts no tasks and routes no requests. So the test says nothing about the
// duration of deployments, about health or about draining.
package e2e
