package stacks

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"cutover/internal/config"
	"cutover/internal/images"
)

// Run is the whole CDK app: it takes the context that the CDK command line hands
// over and synthesizes the deployment to where the command line wants it. It
// returns the exit code of the process; what is wrong goes to standard error, a
// line for each mistake.
func Run(d config.Deployment) int {
	defer jsii.Close()
	values, err := config.ContextFromEnvironment(os.Getenv)
	if err == nil {
		err = Synth(context.Background(), d, values, "")
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "cutover: nothing was synthesized:\n  %s\n", strings.ReplaceAll(err.Error(), "\n", "\n  "))
		return 1
	}
	return 0
}

// Synth checks the deployment and its context, compiles the services and writes
// the cloud assembly to outdir; "" is the directory that the CDK command line
// asks for, or a temporary one. The working directory is the repository's root.
//
// Its error has a line for every mistake in the configuration, or says what
// failed to compile or what CDK refused.
func Synth(ctx context.Context, d config.Deployment, values map[string]any, outdir string) (err error) {
	d, settings, err := config.Load(d, values, os.Getenv)
	if err != nil {
		return err
	}
	build := images.Options{Root: ".", Arch: settings.Arch, Progress: os.Stderr}
	for _, service := range d.All() {
		build.Services = append(build.Services, images.Service{Name: service.Name, Dir: service.Dir})
	}
	contexts, err := images.Build(ctx, build)
	if err != nil {
		return err
	}

	// What CDK refuses comes back as a panic with the message of a JavaScript
	// error; its stack would help nobody who reads it.
	defer func() {
		if r := recover(); r != nil {
			message, _, _ := strings.Cut(fmt.Sprint(r), "\n    at ")
			err = fmt.Errorf("CDK refused the stacks: %s", message)
		}
	}()
	props := &awscdk.AppProps{AnalyticsReporting: jsii.Bool(false), Context: &values}
	if outdir != "" {
		props.Outdir = jsii.String(outdir)
	}
	app := awscdk.NewApp(props)
	Add(app, d, settings, contexts)
	app.Synth(nil)
	return nil
}
