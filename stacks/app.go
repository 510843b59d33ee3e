package stacks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/internal/build"
	"cutover/internal/cdk"
	"cutover/internal/dockerfile"
	"cutover/internal/listing"
)

// Run is the whole CDK app. It reads the context from the CDK command line and
// synthesizes the deployment to the directory that the command line asks for. CDK
// validates the templates unless the command only looks at them. Run returns the exit
// code of the process. Mistakes go to standard error, one a line.
func Run(d config.Deployment) int {
	cdk.Prepare()
	jsii.Close() // see Prepare: nothing has been started yet
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

// Synth checks the deployment and its context, compiles the services and writes the cloud
// assembly to outdir, with the list of services beside it. If outdir is empty, it is the
// directory that the CDK command line asks for, or else a temporary one. The working
// directory is that of the app's main package; directories of images are below the root of the
// repository.
//
// The error has a line for each mistake in the configuration, or says what failed to
// compile or what CDK refused.
func Synth(ctx context.Context, d config.Deployment, values map[string]any, outdir string) error {
	return synth(d, values, outdir, func(services []config.Service, arch string) (map[string]string, error) {
		return Images(ctx, services, arch)
	}, func(awscdk.App) {})
}

// Images compiles the services that are Go packages, and returns their Docker build contexts by
// service.
func Images(ctx context.Context, services []config.Service, arch string) (map[string]string, error) {
	options := build.Options{Root: root(), Arch: arch, Progress: os.Stderr}
	options.Services = goPackages(services)
	if len(options.Services) == 0 {
		return nil, nil
	}
	return build.Build(ctx, options)
}

// root is the root of the repository that the working directory is in.
func root() string {
	dir, err := listing.Root(".")
	if err != nil || dir == "" {
		return "."
	}
	return dir
}

// goPackages are the services whose images are compiled.
func goPackages(services []config.Service) []build.Service {
	var packages []build.Service
	for _, service := range services {
		if image, ok := service.Image.(config.GoPackage); ok {
			packages = append(packages, build.Service{Name: service.Name, Dir: image.Dir})
		}
	}
	return packages
}

// checkDockerfiles refuses images whose Dockerfile cannot be built. [config.Load] refuses directories
// outside the repository.
func checkDockerfiles(services []config.Service) error {
	var errs []error
	for _, service := range services {
		for i, c := range service.Containers() {
			image, ok := c.Image.(config.Dockerfile)
			if !ok || !filepath.IsLocal(filepath.FromSlash(image.Dir)) {
				continue
			}
			at := fmt.Sprintf("service %q: Image", service.Name)
			if i > 0 {
				at = fmt.Sprintf("service %q: sidecar %q: Image", service.Name, c.Name)
			}
			if err := dockerfile.Check(root(), image.Dir, image.File, image.Target); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", at, err))
			}
		}
	}
	return errors.Join(errs...)
}

// synth is [Synth] with parameters: compile compiles services, and prepare gets the app before
// its first stack.
func synth(d config.Deployment, values map[string]any, outdir string, compile func([]config.Service, string) (map[string]string, error), prepare func(awscdk.App)) (err error) {
	d, settings, err := config.Load(d, values, os.Getenv)
	existing, unfit := readExisting(d, settings)
	if err := errors.Join(err, checkDockerfiles(d.All()), unfit); err != nil {
		return err
	}
	// Compiling goes on beside CDK's start, until the first image is needed.
	contexts := sync.OnceValues(func() (map[string]string, error) { return compile(deployed(d, settings), settings.Arch) })
	go contexts()

	// What CDK refuses is a panic with the message and the stack of a JavaScript error.
	// The stack helps nobody.
	defer func() {
		if r := recover(); r != nil {
			message, _, _ := strings.Cut(fmt.Sprint(r), "\n    at ")
			err = fmt.Errorf("CDK refused the stacks: %s", message)
		}
	}()
	// The traces of where constructs were made have no Go code in them, and take time.
	context := map[string]any{"aws:cdk:disable-creation-stack-traces": true}
	maps.Copy(context, values)
	props := &awscdk.AppProps{AnalyticsReporting: jsii.Bool(false), Context: &context}
	if outdir != "" {
		props.Outdir = jsii.String(outdir)
	}
	app := awscdk.NewApp(props)
	prepare(app)
	if err := Add(app, d, settings, contexts); err != nil {
		return err
	}
	dir := *app.Synth(nil).Directory()
	if err := build.SetTimes(dir); err != nil {
		return err
	}
	if err := waitForRepositories(dir, d, settings); err != nil {
		return err
	}
	if existing != nil {
		if err := writeExisting(dir, existing, settings); err != nil {
			return err
		}
	}
	return listing.Write(".", dir, d)
}

// waitForRepositories makes the images of the services wait for the stack of their
// repositories. By default the CDK command line builds all images before it deploys the
// first stack, and asks ECR for each image. In a new environment there is no repository
// yet, and the command line gives up. So the asset manifests depend on that stack. Only
// the assembly can say so; the command line keeps the dependency in any order of work.
func waitForRepositories(dir string, d config.Deployment, s config.Settings) error {
	file := filepath.Join(dir, "manifest.json")
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot read the assembly again: %w", err)
	}
	var manifest map[string]any
	if err := json.Unmarshal(text, &manifest); err != nil {
		return fmt.Errorf("%s is not the manifest of an assembly: %w", file, err)
	}
	artifacts, _ := manifest["artifacts"].(map[string]any)
	for _, service := range deployed(d, s) {
		if !service.Repository() {
			continue
		}
		stacks := []string{config.Pascal(service.Name)}
		if _, is := pushedFunction(service); is {
			stacks = append(stacks, functionStack(service.Name))
		}
		for _, stack := range stacks {
			id := stackName(s, stack) + ".assets"
			assets, ok := artifacts[id].(map[string]any)
			if !ok {
				return fmt.Errorf("%s has no artifact %s: this version of CDK writes another kind of assembly", file, id)
			}
			dependencies, _ := assets["dependencies"].([]any)
			assets["dependencies"] = append(dependencies, stackName(s, registryStack))
		}
	}
	text, err = json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", file, err)
	}
	return os.WriteFile(file, text, 0o644)
}
