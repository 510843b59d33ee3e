// Cutover runs a synthesized deployment on this machine: its load balancers, target groups and
// services, from the templates that CloudFormation gets.
//
// It also
//   - rehearses the migration under load
//   - reviews a branch, and estimates what a deployment costs and waits for
//   - looks at a load balancer that was there before, and puts the deployment behind it
//   - moves the migration a phase on or back
//   - judges a canary
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/local"
	"cutover/internal/local/ecs/docker"
	"cutover/internal/plain"
	"cutover/migration"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == docker.SocketsCommand {
		fmt.Fprintln(os.Stderr, docker.OpenSockets(os.Args[2:]))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	code := 1
	var judged judgement
	switch {
	case errors.Is(err, errWait):
		code = 2
	case errors.Is(err, errBack), errors.Is(err, errPair):
		code = 3
	case ctx.Err() != nil:
		code = 128 + int(syscall.SIGINT) // as in shells
	case errors.As(err, &judged):
		code = judged.code
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "cutover: %s\n", plain.Visible(err.Error()))
		os.Exit(code)
	}
}

const defaultState = ".cutover"

// global has the flags of every command.
type global struct {
	state   string // directory of the local deployment
	secrets string // directory with the secrets; empty for state
}

// secretsFile is the file with the values of secrets.
func (g *global) secretsFile() string { return filepath.Join(cmp.Or(g.secrets, g.state), secretsFile) }

func command() *cobra.Command {
	g := &global{}
	root := &cobra.Command{
		Use:   "cutover",
		Short: "Run, rehearse, review and move a deployment that cdk synthesized",
		Long: `Cutover runs an assembly, the output of "cdk synth", on this machine: load balancers with
their rules, target groups with their health checks, and ECS services with their
tasks. It needs no AWS account. It needs Docker only with --driver docker.

It also rehearses the migration, reviews a branch, estimates costs, moves the migration
to the next phase, and judges a canary.`,
		Version: version(),
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.ValidateFlagGroups(); err != nil {
				return inWords(err)
			}
			return checkEmpty(cmd.Flags())
		},
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&g.state, "state", defaultState, "directory of the local deployment")
	root.AddCommand(upCommand(g), serveCommand(g), deployCommand(g), statusCommand(g), routesCommand(g), logsCommand(g), runCommand(g), eventsCommand(g), replayCommand(g), databaseCommand(), downCommand(g), rehearseCommand(g), adoptCommand(g), phaseCommand(g), watchCommand(g), reviewCommand(g), costCommand(g), criticalPathCommand(g), diagramCommand(g))
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return inWords(err) })
	return root
}

// checkEmpty refuses flags that are there without a value: nothing is meant by that.
func checkEmpty(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		if err == nil && (len(values) == 0 || slices.Contains(values, "")) {
			err = fmt.Errorf("--%s has no value: give one, or leave the flag out", f.Name)
		}
	})
	return err
}

// kinds are the ends of errors about a flag's value, with what the value should be.
var kinds = []struct{ end, should string }{
	{": strconv.ParseInt: ", "give a whole number"},
	{": strconv.ParseFloat: ", "give a number"},
	{": strconv.ParseBool: ", "give true or false"},
	{": time: ", "give a duration, as in 30s or 15m"},
}

// inWords replaces what Go says of a flag's value that it cannot read, and what cobra says of flags that
// exclude each other.
func inWords(err error) error {
	if _, all, found := strings.Cut(err.Error(), "none of the others can be; ["); found {
		names, _, _ := strings.Cut(all, "]")
		return fmt.Errorf("give only one of --%s", strings.ReplaceAll(names, " ", " and --"))
	}
	for _, kind := range kinds {
		if begin, _, found := strings.Cut(err.Error(), kind.end); found {
			return errors.New(begin + ": " + kind.should)
		}
	}
	return err
}

// version is the module's version, or the commit of a build from a working tree.
func version() string {
	build, ok := debug.ReadBuildInfo()
	if !ok || build.Main.Version == "" {
		return "unknown"
	}
	return build.Main.Version
}

// source has the flags that say where an assembly comes from.
type source struct {
	app        string
	phase      string
	context    []string
	parameters []string
}

func (s *source) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.app, "app", "cdk.out", "assembly, the output directory of \"cdk synth\"; or a template of CloudFormation, or a directory of templates")
	cmd.Flags().StringVar(&s.phase, "phase", "", "synthesize this `PHASE` first, or a place for each service, as in users=switched,posts=10%")
	cmd.Flags().StringArrayVarP(&s.context, "context", "c", nil, "synthesize with this `KEY=VALUE` first, as \"cdk synth -c\" does")
	cmd.Flags().StringArrayVar(&s.parameters, "parameters", nil, "value of a template's parameter, `[STACK:]NAME=VALUE`, as \"cdk deploy --parameters\" takes it; also AWS::Region and AWS::AccountId")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("app") && (s.phase != "" || len(s.context) > 0) {
			return fmt.Errorf("--app %s is synthesized already: use either --app, or --phase and --context", s.app)
		}
		if cmd.Flags().Changed("phase") {
			if _, err := config.Position(map[string]any{"phase": s.phase}); err != nil {
				return fmt.Errorf("--%w", err) // which begins with the setting's name
			}
			s.context = append([]string{"phase=" + s.phase}, s.context...)
		}
		if err := checkContext(s.context); err != nil {
			return err
		}
		return checkPosition(s.context)
	}
}

// checkContext refuses what the cdk command would pass over, and a phase or a shift that the app would
// refuse after a synthesis.
func checkContext(pairs []string) error {
	given := map[string]any{}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		switch _, twice := given[key]; {
		case key == "phase" && value == "":
			_, err := migration.ParsePhase(value)
			return fmt.Errorf("--context %s: %w", pair, err)
		case !ok || key == "":
			return fmt.Errorf("--context %q is not KEY=VALUE, as in -c shift=users=10", pair)
		case twice:
			return fmt.Errorf("--context: %s is there twice, as %v and %s: give one of them", key, given[key], value)
		}
		given[key] = value
	}
	if _, err := config.Position(given); err != nil {
		return fmt.Errorf("--context: %w", err)
	}
	return nil
}

// settings are the flags of the context without the position of the migration.
func (s *source) settings() (flags string) {
	for _, pair := range s.context {
		switch key, _, _ := strings.Cut(pair, "="); key {
		case "phase", "shift", "compute":
		default:
			if strings.ContainsAny(pair, " '\"$`\\*?;&|<>()#~!{}[]") {
				pair = "'" + strings.ReplaceAll(pair, "'", `'\''`) + "'"
			}
			flags += " -c " + pair
		}
	}
	return flags
}

// assembly returns the directory of the assembly, after a synthesis if the flags ask for one.
func (s *source) assembly(ctx context.Context, g *global) (string, error) {
	if len(s.context) == 0 {
		if !assembly.Exists(s.app) {
			return "", fmt.Errorf("there is no synthesized assembly in %[1]s, and no template: write one with `cdk synth --output %[1]s`, or choose a phase with --phase", s.app)
		}
		return s.app, nil
	}
	if err := local.MakeDir(g.state); err != nil {
		return "", err
	}
	return synthesize(ctx, filepath.Join(g.state, "synth"), s.context)
}

func (s *source) read(ctx context.Context, g *global) (*assembly.Assembly, error) {
	dir, err := s.assembly(ctx, g)
	if err != nil {
		return nil, err
	}
	return assembly.Read(dir, s.parameters...)
}

// readBase reads an assembly to compare with. It may have other parameters: those that it lacks are
// left out.
func (s *source) readBase(dir string) (*assembly.Assembly, error) {
	var taken []string
	for _, parameter := range s.parameters {
		if _, err := assembly.Read(dir, parameter); !errors.Is(err, assembly.ErrNoParameter) {
			taken = append(taken, parameter)
		}
	}
	return assembly.Read(dir, taken...)
}

// synthesize runs the CDK command line in the working directory.
func synthesize(ctx context.Context, out string, context []string) (string, error) {
	cdk, err := cdkProgram()
	if err != nil {
		return "", err
	}
	fmt.Fprintf(os.Stderr, "Synthesizing with %s\n", strings.Join(context, ", "))
	// Reviews and deployments validate. Validation takes longer than the synthesis.
	return out, synth(ctx, cdk, ".", out, context, append([]string{"CDK_VALIDATION=false"}, os.Environ()...))
}

// cdkProgram finds the CDK command line: in PATH, or else in the node_modules of the app's directory or
// of one above, as npx does.
func cdkProgram() (string, error) {
	if cdk, err := exec.LookPath("cdk"); err == nil {
		return filepath.Abs(cdk)
	}
	if dir, ok := above(".", filepath.Join("node_modules", ".bin", "cdk")); ok {
		return filepath.Join(dir, "node_modules", ".bin", "cdk"), nil
	}
	return "", errors.New("the cdk command is missing: run `npm ci`, or name a synthesized assembly with --app")
}

// above returns the directory that has the file: dir, or the nearest one above it.
func above(dir, file string) (string, bool) {
	dir, err := filepath.Abs(dir)
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, file)); err == nil {
			return dir, true
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return "", false
}

// synth runs a CDK command line in the app's directory.
func synth(ctx context.Context, cdk, dir, out string, context, env []string) error {
	args := []string{"synth", "--quiet", "--output", out}
	for _, pair := range context {
		args = append(args, "--context", pair)
	}
	cmd := exec.CommandContext(ctx, cdk, args...)
	cmd.Dir = dir
	cmd.Env = append(env, "PATH="+filepath.Dir(cdk)+string(os.PathListSeparator)+os.Getenv("PATH"))
	// The app may outlive a stopped command line and keep its output open.
	cmd.WaitDelay = 5 * time.Second
	if output, err := cmd.CombinedOutput(); err != nil {
		return cmp.Or(ctx.Err(), fmt.Errorf("cdk synth failed:\n%s", output))
	}
	return ctx.Err()
}
