package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cutover/internal/local"
	"cutover/internal/local/ecs"
	"cutover/internal/local/eventbridge"
	"cutover/internal/local/lambda"
	"cutover/internal/onaws"
	"cutover/internal/plain"
	"cutover/internal/step"
	"cutover/internal/words"
)

// run has the flags of the command.
type run struct {
	env        string
	local, aws bool
}

func runCommand(g *global) *cobra.Command {
	var o run
	cmd := &cobra.Command{
		Use:     "run SERVICE COMMAND... | SCHEDULE",
		Aliases: []string{"run-task"},
		Short:   "Run a command in a task of a service, or a scheduled task now",
		Long: `Run starts a task of its own from the task definition that a service has now, waits for its
end, and prints what the command writes. The task has the service's image, variables,
secrets, role and network. The service may have no tasks. A function of Lambda runs no
commands. The exit code is the command's.

COMMAND takes the place of the image's CMD. If the image has an ENTRYPOINT, COMMAND has
its arguments: so it is for a service that is a Go package.

On this machine run also takes the name of a schedule, as "cutover status" shows it, and
runs the tasks of the schedule. The schedule may be disabled. If a task fails, the exit
code is 1. What the tasks write is in "cutover logs SCHEDULE".

Ctrl-C stops the tasks. Write flags before SERVICE.

Run takes the deployment on this machine, or the one on AWS if nothing runs here. On AWS it
reads the output from CloudWatch Logs, so the lines come late.`,
		Example: `  cutover run users seed
  cutover run --aws --env prod users seed
  cutover run nightly-report`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, g, args[0], args[1:]) },
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.BoolVar(&o.local, "local", false, "run on this machine")
	flags.BoolVar(&o.aws, "aws", false, "run on AWS (default if no deployment runs here)")
	flags.StringVar(&o.env, "env", "", "environment on AWS (default: the one in cdk.json)")
	cmd.MarkFlagsMutuallyExclusive("local", "aws")
	cmd.MarkFlagsMutuallyExclusive("local", "env")
	return cmd
}

func (o *run) run(cmd *cobra.Command, g *global, name string, command []string) error {
	ctx := cmd.Context()
	if !o.aws && o.env == "" {
		client := local.NewClient(g.state)
		status, err := client.Status(ctx)
		if err == nil {
			return o.here(cmd, g, client, status, name, command)
		}
		if o.local || !errors.Is(err, local.ErrNotRunning) {
			return err
		}
	}
	exit, err := o.there(cmd, name, command)
	return ended(ctx, name, command, exit, err)
}

// ended is the result of a command by its exit code.
func ended(ctx context.Context, name string, command []string, exit int, err error) error {
	if err != nil || ctx.Err() != nil || exit == 0 {
		return errors.Join(err, ctx.Err())
	}
	return judgement{exit, fmt.Errorf("%q of %s ended with exit code %d", strings.Join(command, " "), name, exit)}
}

// here runs on this machine.
func (o *run) here(cmd *cobra.Command, g *global, client *local.Client, status local.Status, name string, command []string) error {
	service := slices.ContainsFunc(status.Services, func(s ecs.ServiceStatus) bool { return s.Name == name })
	schedule := slices.ContainsFunc(status.Schedules, func(s eventbridge.Status) bool { return s.Name == name })
	switch {
	case service && len(command) > 0:
		exit, err := client.Run(cmd.Context(), name, command, func(line local.Written) {
			out := cmd.OutOrStdout()
			if line.Stderr {
				out = cmd.ErrOrStderr()
			}
			fmt.Fprintln(out, plain.Visible(line.Text))
		})
		return ended(cmd.Context(), name, command, exit, err)
	case schedule && len(command) == 0:
		v := newView(cmd.OutOrStdout(), g)
		return client.RunTask(cmd.Context(), name, func(e local.Event) {
			if line := eventLine(e); line != "" && e.Subject == name {
				v.print(line)
			}
		})
	case service:
		return noCommand(name)
	case schedule:
		return fmt.Errorf("%s is a schedule, whose tasks have commands of their own: leave out %q", name, strings.Join(command, " "))
	}
	if slices.ContainsFunc(status.Functions, func(f lambda.FunctionStatus) bool { return f.Name == name }) {
		return noTask(name)
	}
	var names []string
	for _, s := range status.Services {
		names = append(names, s.Name)
	}
	for _, s := range status.Schedules {
		names = append(names, s.Name)
	}
	if len(names) == 0 {
		return fmt.Errorf("there is no service or schedule %q: the deployment has none", name)
	}
	return fmt.Errorf("there is no service or schedule %q: %s", name, words.Choice(names))
}

func noTask(function string) error {
	return fmt.Errorf("%s is a function of Lambda, which runs no commands: run it in a task of another service that has the same records, or before the service moves to Lambda", function)
}

func noCommand(service string) error {
	return fmt.Errorf("no command is given for service %s: write one behind the name, as in `cutover run %[1]s seed`", service)
}

// there runs on AWS.
func (o *run) there(cmd *cobra.Command, name string, command []string) (exit int, err error) {
	app, err := appOnAWS(cmd, o.env)
	if err != nil {
		return 0, err
	}
	var names []string
	for _, s := range app.Deployment.All() {
		names = append(names, s.Name)
	}
	i := slices.Index(names, name)
	if i < 0 {
		return 0, fmt.Errorf("there is no service %q: %s", name, words.Choice(slices.Sorted(slices.Values(names))))
	}
	if len(command) == 0 {
		return 0, noCommand(name)
	}
	one := onaws.Command{
		Cluster: app.Env, Container: name, Command: command,
		Started: func(task, definition string) {
			fmt.Fprintf(cmd.ErrOrStderr(), "Task %s of %s runs %q, from %s\n", task, name, strings.Join(command, " "), definition)
		},
		Output: func(line string) { fmt.Fprintln(cmd.OutOrStdout(), plain.Visible(line)) },
		Warn:   func(err error) { fmt.Fprintln(cmd.ErrOrStderr(), "Warning:", plain.Visible(err.Error())) },
	}
	for _, pair := range app.Deployment.All()[i].Pairs() {
		if !pair.IsFunction() {
			one.Services = append(one.Services, pair.Name)
		}
	}
	if len(one.Services) == 0 {
		return 0, noTask(name)
	}
	return one.Run(cmd.Context(), os.Getenv)
}

// appOnAWS reads the list of services, and the context in cdk.json for an environment.
func appOnAWS(cmd *cobra.Command, env string) (step.App, error) {
	file, err := step.ReadFile(cdkFile)
	if err != nil {
		return step.App{}, err
	}
	services, err := services(cmd)
	if err != nil {
		return step.App{}, err
	}
	app, err := step.ReadContext(services, file.Context, env)
	if err != nil {
		return step.App{}, fmt.Errorf("the context of %s:\n%w", cdkFile, err)
	}
	return app, nil
}
