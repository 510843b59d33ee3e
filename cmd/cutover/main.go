// Cutover runs a synthesized deployment on this machine: its load balancers,
// target groups and services, from the very templates that CloudFormation gets.
// It also says what they cost and what their deployment waits for, and takes the
// migration a step on or back.
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
	if errors.Is(err, errContained) {
		code = 3
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
	root.AddCommand(upCommand(g), serveCommand(g), deployCommand(g), statusCommand(g), routesCommand(g), logsCommand(g), downCommand(g), rehearseCommand(g), phaseCommand(g), costCommand(g), pathCommand(g), pictureCommand(g))
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
	cdk, err := exec.LookPath("cdk")
	if err != nil {
		if cdk, err = filepath.Abs(filepath.Join("node_modules", ".bin", "cdk")); err == nil {
			_, err = os.Stat(cdk)
		}
		if err != nil {
			return "", errors.New("the cdk command is missing: run `npm ci`, or synthesize elsewhere and name the directory with --app")
		}
	}
	fmt.Fprintf(os.Stderr, "Synthesizing with %s\n", strings.Join(context, ", "))
	args := []string{"synth", "--quiet", "--output", out}
	for _, pair := range context {
		args = append(args, "--context", pair)
	}
	cmd := exec.CommandContext(ctx, cdk, args...)
	// Validation is for reviews and deployments, and takes longer than all the rest.
	cmd.Env = append([]string{"CDK_VALIDATION=false"}, os.Environ()...)
	cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(cdk)+string(os.PathListSeparator)+os.Getenv("PATH"))
	output, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", fmt.Errorf("cdk synth failed:\n%s", output)
	}
	return out, nil
}
