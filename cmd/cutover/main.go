// Cutover runs a synthesized deployment on this machine: its load balancers,
// target groups and services, from the very templates that CloudFormation gets.
// It also says what they cost, what their deployment waits for and what a change
// does to it, takes the migration a step on or back, and says which of the two a
// canary calls for.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	code := 1
	if ctx.Err() != nil {
		code = interrupted
		if errors.Is(err, context.Canceled) {
			err = errors.New("interrupted")
		}
	}
	for result, its := range map[error]int{errContained: 3, errWait: 2, errBack: 3} {
		if errors.Is(err, result) {
			code = its
		}
	}
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "cutover: %v\n", err)
		os.Exit(code)
	}
}

// interrupted is the exit code of a command that Ctrl-C cut short, as shells
// have it.
const interrupted = 128 + int(syscall.SIGINT)

const defaultState = ".cutover"

// global are the flags that every command has.
type global struct {
	state string // the deployment's directory
}

func command() *cobra.Command {
	g := &global{}
	root := &cobra.Command{
		Use:   "cutover",
		Short: "Run a synthesized deployment on this machine, rehearse its migration, move it on",
		Long: `Cutover runs what "cdk synth" wrote: load balancers with their rules, target groups
with their health checks, and ECS services on EC2 with their tasks, from the
templates alone. It needs no AWS account, and no Docker unless it is asked to.`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&g.state, "state", defaultState, "directory of the local deployment")
	root.AddCommand(upCommand(g), serveCommand(g), deployCommand(g), statusCommand(g), routesCommand(g), logsCommand(g), downCommand(g), rehearseCommand(g), phaseCommand(g), watchCommand(g), reviewCommand(g), costCommand(g), pathCommand(g), pictureCommand(g))
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

// version is that of the module or, of a build from a working tree, its commit.
func version() string {
	build, ok := debug.ReadBuildInfo()
	if !ok || build.Main.Version == "" {
		return "unknown"
	}
	return build.Main.Version
}

// source is where an assembly comes from.
type source struct {
	app     string
	phase   string
	context []string
}

func (s *source) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.app, "app", "cdk.out", "directory of the synthesized assembly")
	cmd.Flags().StringVar(&s.phase, "phase", "", `synthesize this phase first, with "cdk synth"`)
	cmd.Flags().StringArrayVarP(&s.context, "context", "c", nil, `synthesize with this KEY=VALUE first, with "cdk synth"`)
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("app") && (s.phase != "" || len(s.context) > 0) {
			return fmt.Errorf("--app %s is synthesized already: leave it out to synthesize with --phase or --context, or leave those out", s.app)
		}
		return nil
	}
}

// assembly returns the directory of the assembly, synthesizing it if a phase or
// other context is asked for.
func (s *source) assembly(ctx context.Context, g *global) (string, error) {
	if s.phase == "" && len(s.context) == 0 {
		if _, err := os.Stat(filepath.Join(s.app, "manifest.json")); err != nil {
			return "", fmt.Errorf("there is no synthesized assembly in %s: write one with `cdk synth --output %s`, or choose a phase with --phase", s.app, s.app)
		}
		return s.app, nil
	}
	context := s.context
	if s.phase != "" {
		context = append([]string{"phase=" + s.phase}, context...)
	}
	return synthesize(ctx, filepath.Join(g.state, "synth"), context)
}

// synthesize runs the CDK command line in the working directory.
func synthesize(ctx context.Context, out string, context []string) (string, error) {
	cdk, err := cdkProgram(".")
	if err != nil {
		return "", err
	}
	fmt.Fprintf(os.Stderr, "Synthesizing with %s\n", strings.Join(context, ", "))
	// Validation is for reviews and deployments, and takes longer than all the rest.
	return out, synth(ctx, cdk, ".", out, context, append([]string{"CDK_VALIDATION=false"}, os.Environ()...))
}

// cdkProgram is the CDK command line: the one on the path, or else that of the
// app in a directory.
func cdkProgram(dir string) (string, error) {
	if cdk, err := exec.LookPath("cdk"); err == nil {
		return filepath.Abs(cdk)
	}
	cdk, err := filepath.Abs(filepath.Join(dir, "node_modules", ".bin", "cdk"))
	if err == nil {
		_, err = os.Stat(cdk)
	}
	if err != nil {
		return "", errors.New("the cdk command is missing: run `npm ci`, or synthesize elsewhere and name the directory with --app")
	}
	return cdk, nil
}

// synth has a CDK command line synthesize the app in a directory.
func synth(ctx context.Context, cdk, dir, out string, context, env []string) error {
	args := []string{"synth", "--quiet", "--output", out}
	for _, pair := range context {
		args = append(args, "--context", pair)
	}
	cmd := exec.CommandContext(ctx, cdk, args...)
	cmd.Dir = dir
	cmd.Env = append(env, "PATH="+filepath.Dir(cdk)+string(os.PathListSeparator)+os.Getenv("PATH"))
	// The app may outlive the command line that was stopped, and holds its output.
	cmd.WaitDelay = 5 * time.Second
	output, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("cdk synth failed:\n%s", output)
	}
	return nil
}
