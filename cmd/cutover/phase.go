package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/listing"
	"cutover/internal/local"
	"cutover/internal/onaws"
	"cutover/internal/step"
	"cutover/migration"
)

const cdkFile = "cdk.json"

// phase is what "phase" and its subcommands share.
type phase struct {
	env  string // empty: the one in cdk.json
	file *step.File

	app      step.App
	deployed step.Deployed
	notAsked error         // why deployed is not known
	here     step.Deployed // on this machine; does not exist if no deployment runs here
}

func phaseCommand(g *global) *cobra.Command {
	p := &phase{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "phase",
		Short: "Show the phase of the migration, and move to the next or the one before",
		Long: `Phase shows:

  - the phase in cdk.json
  - the phase that is deployed on AWS
  - the phase of the deployment on this machine, if one is up
  - for each service: its place, who answers its requests, and what comes next
  - for each service on Fargate or Lambda, or on its way to another compute: its place, its
    tasks, and what comes next
  - what a step forward or back does

If services have places of their own, phase shows a place for each of them instead.

The services come from cdk.out/deployment.json, which each synthesis writes. If there is no
such file, phase synthesizes the app.

Phase reads the deployed phase from the deployment's SSM parameters. For that it needs
credentials and a region, in the environment or, if you have the AWS command line, in a
profile.`,
		Example: `  cutover phase
  cutover phase next
  cutover phase next --service users
  cutover phase next --canary users=10
  cutover phase next --compute users
  cutover phase back`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.load(cmd, g); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), p.json())
			}
			v := newView(cmd.OutOrStdout(), g)
			v.print(p.text(v))
			return nil
		},
	}
	cmd.PersistentFlags().StringVar(&p.env, "env", "", "environment (default: the one in cdk.json)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(nextCommand(g, p), backCommand(g, p), checkCommand(g, p))
	return cmd
}

func checkCommand(g *global, p *phase) *cobra.Command {
	var service string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Fail if a deployment of cdk.json would be refused",
		Long: `Check compares the phase in cdk.json with the phase that is deployed on AWS, and the places
of services on their way to another compute. It fails if cdk.json is more than one step
away, or if AWS does not answer. A deployment would refuse the phase as well, but later. A
deployment does not refuse everything that check does: see docs/migration.md.

With --service check also fails if that service cannot be deployed alone: if a stack in
cdk.out that is not the service's own has another template than on AWS. A service has a
stack, and one more if it is or becomes a function.`,
		Example: `  cutover phase check
  cutover phase check --service users`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.load(cmd, g); err != nil {
				return err
			}
			if p.notAsked != nil {
				return p.notAsked
			}
			if err := step.Follows(p.app, p.app.At, p.deployed); err != nil {
				return err
			}
			var alone step.Alone
			if service != "" {
				var err error
				if alone, err = p.alone(cmd, service); err != nil {
					return fmt.Errorf("--service %s: %w", service, err)
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					Stacks []string `json:"stacks"`
				}{alone.Stacks})
			}
			v := newView(cmd.OutOrStdout(), g)
			switch where := p.deployed.Where(p.env); {
			case !p.deployed.Exists:
				v.print(fmt.Sprintf("%s was not deployed yet, or not to the end, and may begin in %s.", where, p.app.At))
			case p.deployed.Reached == p.app.Migration.State(p.app.At):
				v.print(fmt.Sprintf("%s is in %s, as cdk.json says.", where, p.app.At))
			default:
				v.print(fmt.Sprintf("%s is in %s, and %s may follow.", where, step.Words(p.app.Migration, p.deployed.Reached), p.app.At))
			}
			switch {
			case service != "" && len(alone.Differ) == 0:
				v.print("No stack in cdk.out differs from what is deployed.")
			case service != "":
				v.print(fmt.Sprintf("Only %s differs from what is deployed. To deploy %s alone, run `npx cdk deploy --app cdk.out --exclusively %s`.",
					strings.Join(alone.Differ, " and "), service, strings.Join(alone.Stacks, " ")))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&service, "service", "", "also fail if this `SERVICE` cannot be deployed alone")
	cmd.Flags().BoolVar(&asJSON, "json", false, "with --service, print the service's stacks as JSON")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if asJSON && service == "" {
			return errors.New("--json is for --service: name the service")
		}
		return nil
	}
	return cmd
}

// alone compares the stacks in cdk.out with what is deployed, and decides whether a service can be deployed
// alone.
func (p *phase) alone(cmd *cobra.Command, service string) (step.Alone, error) {
	a, err := assembly.Read("cdk.out")
	if err != nil {
		return step.Alone{}, err
	}
	deployed, err := onaws.Templates(cmd.Context(), os.Getenv, a.Stacks)
	if err != nil {
		return step.Alone{}, err
	}
	return step.NewAlone(p.app, service, a.Stacks, deployed, p.deployed.Where(p.env))
}

const serviceUsage = "only this `SERVICE`, or one of its routes as in users/writes, takes a step (repeatable)"

func nextCommand(g *global, p *phase) *cobra.Command {
	var canary, services, compute []string
	cmd := &cobra.Command{
		Use:   "next",
		Short: "Write the next phase, place or canary to cdk.json",
		Long: `Next writes the next phase to cdk.json. It changes the line "phase" and no other byte.
Then it prints what the step does and the commands that deploy it.

If services have places of their own, each takes one step:

  monolith  to parallel
  parallel  to switched, with a share or without
  switched  none; once each service is switched, the monolith is retired, then removed

With --service only that service takes a step. If cdk.json has one phase for all, next
first writes the same place for each service. That moves nothing. Deploy it, and run
the command again.

With --canary a microservice in parallel takes over a percentage of its traffic. With one
phase for all, a canary replaces the one before. The next step removes it.

With --compute a service takes a step on its way to another compute: EC2, Fargate or Lambda.
Next then changes the line "compute". To begin such a move, write Next beside the Compute of the
service in the list of services, and deploy that. The places are:

  stopped   the new pair of an ECS service and a target group has no tasks; of a function
            and a target group, no requests
  parallel  both pairs run, and the old one has the traffic
  a share   the new pair has this percentage of the traffic: --compute users=10
  switched  the new pair has the traffic, and the old one goes on running
  retired   the old pair has no tasks, or is a function without requests; now write the
            value of Next as the Compute

Next refuses if
  - cdk.json has changes that are not committed
  - AWS has another phase than cdk.json, if AWS answers`,
		Example: `  cutover phase next
  cutover phase next --service users
  cutover phase next --service users --service posts/writes
  cutover phase next --canary users=10
  cutover phase next --canary users=50,posts=10
  cutover phase next --compute users
  cutover phase next --compute users=10`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.move(cmd, g, newView(cmd.OutOrStdout(), g), func() (migration.Position, error) {
				switch {
				case len(canary) > 0:
					return step.Canary(p.app, strings.Join(canary, ","))
				case len(compute) > 0:
					return step.NextCompute(p.app, compute)
				}
				return step.Next(p.app, services)
			})
		},
	}
	cmd.Flags().StringSliceVar(&canary, "canary", nil, "stay in parallel, and give a microservice this share of its traffic: `SERVICE=PERCENT`")
	cmd.Flags().StringSliceVar(&services, "service", nil, serviceUsage)
	cmd.Flags().StringSliceVar(&compute, "compute", nil, "this `SERVICE` takes a step on its way to another compute, or gets a share there, SERVICE=PERCENT (repeatable)")
	cmd.MarkFlagsMutuallyExclusive("canary", "service", "compute")
	return cmd
}

func backCommand(g *global, p *phase) *cobra.Command {
	var services, compute []string
	cmd := &cobra.Command{
		Use:   "back",
		Short: "Write the phase or place before to cdk.json, or remove a canary",
		Long: `Back writes the phase before to cdk.json, with the checks of "cutover phase next".

If services have places of their own, each takes one step back, or only those that
--service names. A monolith that is removed or retired comes back before them.

If there is a canary, back removes the canary and stays in parallel. The microservices
may stop only after that is deployed.

With --compute a service takes a step back on its way to another compute, from a share to
parallel. To go back after the move is complete, declare a move the other way.`,
		Example: `  cutover phase back
  cutover phase back --service users
  cutover phase back --compute users`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.move(cmd, g, newView(cmd.OutOrStdout(), g), func() (migration.Position, error) {
				if len(compute) > 0 {
					return step.BackCompute(p.app, compute)
				}
				return step.Back(p.app, services)
			})
		},
	}
	cmd.Flags().StringSliceVar(&services, "service", nil, serviceUsage)
	cmd.Flags().StringSliceVar(&compute, "compute", nil, "this `SERVICE` takes a step back on its way to another compute (repeatable)")
	cmd.MarkFlagsMutuallyExclusive("service", "compute")
	return cmd
}

// load reads the phase in cdk.json, on AWS and on this machine.
func (p *phase) load(cmd *cobra.Command, g *global) (err error) {
	if p.file, err = step.ReadFile(cdkFile); err != nil {
		return err
	}
	services, err := services(cmd)
	if err != nil {
		return err
	}
	if p.app, err = step.ReadContext(services, p.file.Context, p.env); err != nil {
		return fmt.Errorf("the context of %s:\n%w", cdkFile, err)
	}
	p.env = p.app.Env
	if status, err := local.NewClient(g.state).Status(cmd.Context()); err == nil {
		if p.here, err = step.Read(p.app.Migration, p.env, step.Here, status.Parameters); err != nil {
			return err
		}
	}
	p.deployed, p.notAsked = step.Ask(cmd.Context(), p.app.Migration, p.env, os.Getenv)
	return cmd.Context().Err()
}

// services returns the services in the list of the last synthesis. Without a list it synthesizes
// the app. If the list is older than its source, a warning says so.
func services(cmd *cobra.Command) (d config.Deployment, err error) {
	const dir = "cdk.out"
	list, err := listing.Read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		var cdk string
		if cdk, err = cdkProgram(); err != nil {
			return d, fmt.Errorf("list of services: %w", err)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "Synthesizing to %s, which has no list of services yet\n", dir)
		if err = synth(cmd.Context(), cdk, ".", dir, nil, os.Environ()); err == nil {
			list, err = listing.Read(dir)
		}
	}
	if err != nil {
		return d, err
	}
	changed, err := list.Changed(".")
	if changed != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "The list of services in %s is older than %s. To update the list, run `npx cdk synth --quiet`.\n", dir, changed)
	}
	return list.Deployment, err
}

// move writes another position to cdk.json, if the step is allowed.
func (p *phase) move(cmd *cobra.Command, g *global, v *view, choose func() (migration.Position, error)) error {
	named := p.env != ""
	if err := p.load(cmd, g); err != nil {
		return err
	}
	unknown, err := committed(cmd.Context())
	if err != nil {
		return err
	}
	to, err := choose()
	if err != nil {
		return err
	}
	// A step from a phase that the deployment would refuse leads nowhere.
	if err := cmp.Or(step.Follows(p.app, p.app.At, p.deployed), step.Check(p.app, p.deployed)); err != nil {
		return err
	}
	if err := p.app.Deployment.CheckStep(p.app.Migration, p.app.At, to); err != nil {
		return err
	}
	edited, err := p.file.Edit(p.app, to)
	if err != nil {
		return err
	}
	// Rules of testers may refuse a place until others have moved.
	if _, err := step.ReadContext(p.app.Deployment, edited.Context, p.env); err != nil {
		return fmt.Errorf("%s may not move to %s:\n%w", p.env, step.Moved(p.app, to), err)
	}
	if err := edited.Write(); err != nil {
		return err
	}

	v.print(udiff.Unified(cdkFile, cdkFile, string(p.file.Text), string(edited.Text)) + "\n" + p.after(v, to, unknown, named))
	return nil
}

// after says what a step does that was written, and how to deploy it. Unknown says why cdk.json was
// not checked for changes; named says that the environment comes from a flag.
func (p *phase) after(v *view, to migration.Position, unknown string, named bool) string {
	var b strings.Builder
	title := "Move to " + step.Moved(p.app, to)
	if step.Passes(p.app.At, to) {
		title = "Give each service a place of its own"
		fmt.Fprintf(&b, "Once deployed, each service of %s has a place of its own, and nothing moves:\n  %s\n\n", p.env, to)
		b.WriteString("Deploy that, and run the same command again for the step.\n")
	} else {
		fmt.Fprintf(&b, "Once deployed, %s is in %s:\n%s\n%s", p.env, step.Moved(p.app, to), p.changes(to), p.complete(to))
	}
	switch {
	case p.notAsked != nil:
		fmt.Fprintf(&b, "Not checked against what is deployed: %v.\n", p.notAsked)
	case !p.deployed.Exists:
		fmt.Fprintf(&b, "%s was not deployed in %s yet, or not to the end.\n", p.env, p.deployed.Region)
	}
	if unknown != "" {
		fmt.Fprintf(&b, "Not checked for changes that are not committed: %s.\n", unknown)
	}
	flags := ""
	if named {
		flags = " -c env=" + p.env
	}
	fmt.Fprintf(&b, `Look at it, commit it, deploy it:
  npx cdk diff%[1]s
  git commit -m "%[2]s" %[3]s
  npx cdk deploy --all --concurrency 8%[1]s
`, flags, title, cdkFile)
	if p.here.Exists && step.OutOfTurn(p.app.Migration, p.env, p.app.Migration.State(to), p.here) == nil {
		shift := ""
		if len(to.Shift) > 0 {
			shift = " -c shift=" + to.ShiftText()
		}
		if len(to.Compute) > 0 {
			shift += " -c compute=" + to.ComputeText()
		}
		fmt.Fprintf(&b, "Or try it on this machine, where %s is in %s:\n  %s deploy --phase %s%s%s\n",
			p.env, step.Words(p.app.Migration, p.here.Reached), v.program, to.PhaseText(p.app.Deployment.Monolith.Name), shift, flags)
	}
	return b.String()
}

// complete says what ends the move of each service that a step retires on its old compute.
func (p *phase) complete(to migration.Position) string {
	var b strings.Builder
	for _, s := range p.app.Migration.All() {
		if to.Compute[s.Name].Phase == migration.Retired && p.app.At.Compute[s.Name].Phase != migration.Retired {
			fmt.Fprintf(&b, "After that, end the move: write the value of Next as the Compute of %[1]s in the list of services, remove Next there and %[1]s from \"compute\" in %[2]s, and deploy both at once.\n\n", s.Name, cdkFile)
		}
	}
	return b.String()
}

// committed refuses a cdk.json with uncommitted changes. If git does not answer, unknown says why.
func committed(ctx context.Context) (unknown string, err error) {
	output, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--", cdkFile).Output()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.As(err, &exit):
		text, _, _ := strings.Cut(string(exit.Stderr), "\n")
		return "git says " + strings.TrimPrefix(text, "fatal: "), nil
	case err != nil:
		return err.Error(), nil
	case len(output) > 0:
		return "", fmt.Errorf("%s has changes that are not committed: commit them, or undo them with `git checkout %[1]s`", cdkFile)
	}
	return "", nil
}

// changes says what a step does, with two spaces before each line.
func (p *phase) changes(to migration.Position) string {
	changes := step.Changes(p.app.Migration, p.app.At, to)
	if len(changes) == 0 {
		changes = []string{"nothing changes for requests and tasks"}
	}
	return "  " + strings.Join(changes, "\n  ") + "\n"
}
