package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"cutover/internal/local"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/local/ecs/docker"
	"cutover/internal/local/ecs/process"
)

// stopTimeout is the time that tasks have to stop: one minute of deregistration delay and one
// minute of stop timeout.
const stopTimeout = 2 * time.Minute

// volumesDir is the directory in the state directory of what outlives tasks and deployments.
const volumesDir = "volumes"

// runner has the flags that say how an assembly is run.
type runner struct {
	driver  string
	ports   []string
	run     []string
	targets []string
	without []string
	values  []string
	secrets []string
	period  time.Duration
}

func (r *runner) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.driver, "driver", "process", "how containers run: process or docker")
	cmd.Flags().StringArrayVar(&r.ports, "port", nil, "local port of a listener, `LISTENER=LOCAL`; further load balancers get the ports after LOCAL (default 80=8080, 443=8443). For API Gateway, apigateway=LOCAL (default the first free port from 8081 on), and for CloudFront cloudfront=LOCAL (from 8090 on)")
	cmd.Flags().StringArrayVar(&r.run, "run", nil, "start a command instead of a container, `CONTAINER=COMMAND`; it listens on $HOST:$PORT, and for a further port 81 of the container on $PORT_81. Or instead of a function, FUNCTION=COMMAND: it speaks the Runtime API of Lambda. Or for a target group that exists already, GROUP=COMMAND")
	cmd.Flags().StringArrayVar(&r.targets, "target", nil, "let a program that runs already stand for a target group that exists already, `GROUP=URL`, as in shop=http://127.0.0.1:9000")
	cmd.Flags().StringArrayVar(&r.without, "without", nil, "leave a `CONTAINER` out of its task, such as a sidecar that has nothing to do here")
	cmd.Flags().StringArrayVar(&r.secrets, "secret", nil, "value of a secret, `NAME=VALUE`, by the variable's name or as CONTAINER.NAME. Others on this machine may see the command: better write the line into "+secretsFile+" in the directory of --state")
	cmd.Flags().StringArrayVar(&r.values, "value", nil, "value of a resource that nothing here stands for, or of its attribute, `STACK/ID[.ATTRIBUTE]=VALUE`, for the containers' environment")
	cmd.Flags().DurationVar(&r.period, "scaling-period", ecs.ScalingPeriod, "length of autoscaling's minute (scales out after 3, in after 15)")
}

// args returns the flags again, for another process. It leaves out secrets, which everybody on this
// machine would see.
func (r *runner) args() []string {
	args := []string{"--driver", r.driver, "--scaling-period", r.period.String()}
	for _, port := range r.ports {
		args = append(args, "--port", port)
	}
	for _, run := range r.run {
		args = append(args, "--run", run)
	}
	for _, target := range r.targets {
		args = append(args, "--target", target)
	}
	for _, name := range r.without {
		args = append(args, "--without", name)
	}
	for _, value := range r.values {
		args = append(args, "--value", value)
	}
	return args
}

func (r *runner) options(g *global) (local.Options, error) {
	options := local.Options{Dir: g.state, Ports: map[int]int{}, Targets: map[string]*url.URL{}, Values: map[string]string{}, Without: r.without, SecretsFile: g.secretsFile(), ScalingPeriod: r.period}
	if r.period <= 0 {
		return options, fmt.Errorf("--scaling-period %v is too short: give a duration above 0, as in 5s", r.period)
	}
	var err error
	if options.Secrets, err = secrets(options.SecretsFile, r.secrets); err != nil {
		return options, err
	}
	commands := map[string]string{}
	for _, pair := range r.run {
		name, command, ok := strings.Cut(pair, "=")
		if !ok || name == "" || command == "" {
			return options, fmt.Errorf("--run %q is not CONTAINER=COMMAND, as in --run users=\"go run ./services/users\"", pair)
		}
		if commands[name] != "" {
			return options, fmt.Errorf("--run %s is there twice: a container is replaced by one command", name)
		}
		if slices.Contains(r.without, name) {
			return options, fmt.Errorf("--run and --without are both about %s: give one of them", name)
		}
		commands[name] = command
		options.Replaced = append(options.Replaced, name)
	}
	for _, pair := range r.targets {
		group, text, ok := strings.Cut(pair, "=")
		if !ok || group == "" || text == "" {
			return options, fmt.Errorf("--target %q is not GROUP=URL, as in --target shop=http://127.0.0.1:9000", pair)
		}
		if options.Targets[group] != nil {
			return options, fmt.Errorf("--target %s is there twice: one program stands for a target group", group)
		}
		if commands[group] != "" {
			return options, fmt.Errorf("--target and --run are both about %s: give one of them", group)
		}
		if options.Targets[group], err = alb.ParseTarget(text); err != nil {
			return options, fmt.Errorf("--target %s: %w", pair, err)
		}
	}
	for _, pair := range r.values {
		ref, value, ok := strings.Cut(pair, "=")
		if stack, id, found := strings.Cut(ref, "/"); !ok || !found || stack == "" || id == "" {
			return options, fmt.Errorf("--value %q is not STACK/ID[.ATTRIBUTE]=VALUE, as in --value Shop/Table=orders or --value Shop/Table.Arn=arn:aws:dynamodb:...", pair)
		}
		if _, twice := options.Values[ref]; twice {
			return options, fmt.Errorf("--value %s is there twice: a resource or attribute has one value", ref)
		}
		options.Values[ref] = value
	}
	for _, pair := range r.ports {
		listener, port, ok := strings.Cut(pair, "=")
		if front := map[string]*int{"apigateway": &options.APIPort, "cloudfront": &options.DistributionPort}[listener]; front != nil {
			if *front, err = strconv.Atoi(port); err != nil || *front < 1 || *front > 65535 {
				return options, fmt.Errorf("--port %q has no port: give one as in --port %s=9000", pair, listener)
			}
			continue
		}
		from, err1 := strconv.Atoi(listener)
		to, err2 := strconv.Atoi(port)
		if !ok || errors.Join(err1, err2) != nil || from < 1 || from > 65535 || to < 0 || to > 65535 {
			return options, fmt.Errorf("--port %q is not LISTENER=LOCAL with two ports, as in --port 80=8080", pair)
		}
		if _, twice := options.Ports[from]; twice {
			return options, fmt.Errorf("--port %d is there twice: a listener has one local port", from)
		}
		for other, local := range options.Ports {
			if local == to && to != 0 {
				return options, fmt.Errorf("--port %d and %d have one local port, %d: give each a port of its own", min(other, from), max(other, from), to)
			}
		}
		options.Ports[from] = to
	}
	volumes, err := filepath.Abs(filepath.Join(g.state, volumesDir))
	if err != nil {
		return options, err
	}
	switch r.driver {
	case "process":
		options.Driver = func(_ context.Context, dir string) (local.Driver, error) {
			return process.New(process.Options{Dir: dir, Volumes: volumes, Run: commands})
		}
	case "docker":
		if len(commands) > 0 {
			return options, errors.New("--run starts a process instead of a container: use it with --driver process")
		}
		// The directory tells this deployment's containers from others.
		options.Driver = func(ctx context.Context, dir string) (local.Driver, error) {
			return docker.New(ctx, docker.Options{Deployment: dir, Volumes: volumes, Dir: dir})
		}
	default:
		return options, fmt.Errorf("--driver %q is unknown: choose process or docker", r.driver)
	}
	return options, nil
}

func upCommand(g *global) *cobra.Command {
	var from source
	var how runner
	var detach bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run an assembly on this machine",
		Long: `Up runs the load balancers, services and tasks of an assembly until you press Ctrl-C.
With --detach it returns when every service is steady, and the deployment stays up.
"cutover down" stops the deployment.

Containers run as processes of this machine, from the programs in their images. To run
the images themselves, use --driver docker. If an image cannot run as a process, name a
command with --run.`,
		Example: `  cutover up
  cutover up --phase parallel --detach
  cutover up --phase users=switched,posts=10% -c rest=monolith
  cutover up --app ../other/cdk.out --port 80=9000 --run web="npm start"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return up(cmd.Context(), g, from, how, detach, newView(cmd.OutOrStdout(), g))
		},
	}
	from.flags(cmd)
	how.flags(cmd)
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "run in the background")
	return cmd
}

func up(ctx context.Context, g *global, from source, how runner, detach bool, v *view) error {
	// Report a mistake in the flags before the synthesis, which takes long.
	if _, err := how.options(g); err != nil {
		return err
	}
	client := local.NewClient(g.state)
	if _, err := client.Status(ctx); err == nil {
		return fmt.Errorf("%w in %s: update it with `%s deploy`, or stop it with `%[3]s down`", local.ErrRunning, g.state, v.program)
	}
	if len(from.context) > 0 {
		if err := how.checkExisting(ctx, g, from.context); err != nil {
			return err
		}
	}
	a, err := from.read(ctx, g) // report a damaged assembly before anything starts
	if err != nil {
		return err
	}
	if err := how.checkAssembly(ctx, g, a); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	if !detach {
		go func() { ended <- serve(ctx, g, how) }()
	} else if err := background(g, how, ended); err != nil {
		return err
	}
	ready := make(chan error, 1)
	go func() { ready <- client.Ready(ctx) }()
	select {
	case err := <-ended:
		return err
	case err = <-ready:
	}
	begun := false
	if err == nil {
		begun, err = v.deploy(ctx, client, a.Dir, from.parameters)
	}
	if err != nil {
		err = cmp.Or(ctx.Err(), err) // the other errors follow from an interrupt
		cancel()
		go func() { // a process in the background may not take commands yet
			stopping := context.WithoutCancel(ctx)
			if client.Ready(stopping) == nil {
				client.Down(stopping)
			}
		}()
		if stopErr := <-ended; stopErr != nil {
			return errors.Join(err, stopErr)
		}
		if begun {
			v.print("Stopped.")
		}
		return err
	}
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	v.settings = from.settings()
	v.summary(status, detach)
	if detach {
		return nil
	}
	err = <-ended
	if err == nil {
		v.print("Stopped.")
	}
	return err
}

// background runs the deployment in a process that outlives this one.
func background(g *global, how runner, ended chan<- error) error {
	if err := local.MakeDir(g.state); err != nil {
		return err
	}
	// Do not truncate: another runner may write to the file.
	log, err := os.OpenFile(filepath.Join(g.state, "runner.log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	before, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(program, append([]string{"serve", "--state", g.state}, how.args()...)...)
	cmd.Stdout, cmd.Stderr = log, log
	given, err := json.Marshal(how.secrets)
	if err != nil {
		return err
	}
	cmd.Stdin = bytes.NewReader(given)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		err := cmd.Wait()
		if err != nil {
			text, _ := os.ReadFile(log.Name())
			err = errors.New(strings.TrimSpace(strings.TrimPrefix(string(text[before:]), "cutover: ")))
		}
		ended <- err
	}()
	return nil
}

// serveCommand is the process that "up --detach" leaves running.
func serveCommand(g *global) *cobra.Command {
	var how runner
	cmd := &cobra.Command{
		Use: "serve", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := json.NewDecoder(cmd.InOrStdin()).Decode(&how.secrets); err != nil {
				return fmt.Errorf("the values of --secret cannot be read from the standard input: %w", err)
			}
			return serve(cmd.Context(), g, how)
		},
	}
	how.flags(cmd)
	return cmd
}

func serve(ctx context.Context, g *global, how runner) error {
	options, err := how.options(g)
	if err != nil {
		return err
	}
	r, err := local.Start(ctx, options)
	if err != nil {
		return err
	}
	err = r.Control(ctx)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(err, r.Stop(stopping))
}

func deployCommand(g *global) *cobra.Command {
	var from source
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Update the deployment on this machine to another assembly or phase",
		Long: `Deploy updates the deployment on this machine to an assembly. It works in
CloudFormation's order, and changes only what the templates change. As on AWS, it refuses
a phase that does not follow the deployed one, and a place of a service that does not.`,
		Example: `  cutover deploy --phase switched
  cutover deploy --phase parallel -c shift=users=10
  cutover deploy --phase users=switched,posts=10%
  cutover deploy --app cdk.out`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client := local.NewClient(g.state)
			if _, err := client.Status(cmd.Context()); err != nil {
				return err
			}
			a, err := from.read(cmd.Context(), g)
			if err != nil {
				return err
			}
			v := newView(cmd.OutOrStdout(), g)
			if _, err := v.deploy(cmd.Context(), client, a.Dir, from.parameters); err != nil {
				return err
			}
			status, err := client.Status(cmd.Context())
			if notes := v.warnings(status) + v.passedOver(status); notes != "" && err == nil {
				v.print(notes)
			}
			return err
		},
	}
	from.flags(cmd)
	return cmd
}

func downCommand(g *global) *cobra.Command {
	var data bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the deployment on this machine",
		Long: `Down stops the deployment on this machine. Requests in flight are answered first. The data of tables and
databases stay for the next deployment; --data removes them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client := local.NewClient(g.state)
			v := newView(cmd.OutOrStdout(), g)
			err := client.Down(cmd.Context())
			switch {
			case data && errors.Is(err, local.ErrNotRunning):
				v.print("No deployment is running.")
			case err != nil:
				return err
			default:
				v.print("Stopping: requests are answered first.")
				if err := local.Wait(cmd.Context(), g.state); err != nil {
					return err
				}
				v.print("Stopped.")
			}
			if !data {
				return nil
			}
			if err := local.RemoveData(g.state); err != nil {
				return err
			}
			v.print("The data of tables and databases are removed.")
			return nil
		},
	}
	cmd.Flags().BoolVar(&data, "data", false, "also remove the data of tables and databases")
	return cmd
}
