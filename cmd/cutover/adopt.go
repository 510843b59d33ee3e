package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"

	"cutover/internal/assembly"
	"cutover/internal/existing"
	"cutover/internal/file"
	"cutover/internal/listing"
	"cutover/internal/step"
	"cutover/internal/words"
)

// adopt has the flags of the command.
type adopt struct {
	choice     existing.Choice
	from, save string
	check      bool
	asJSON     bool

	file   *step.File
	report existing.Report
	drift  []string // if check
}

func adoptCommand(g *global) *cobra.Command {
	a := &adopt{}
	cmd := &cobra.Command{
		Use:   "adopt [LOADBALANCER]",
		Short: "Look at a load balancer that is there already, and put the services behind it",
		Long: `Adopt looks at an Application Load Balancer, by its name or ARN, and at what is around
it: the listener with its rules, the target group of the monolith, the cluster, and the
network. It says what it finds, and whether services fit beside the monolith. It changes
nothing on AWS.

If all fits, it writes two files:

  - settings into cdk.json, such as listenerArn
  - existing.template.json, which describes the load balancer with its listeners, their
    rules and target groups. It is never deployed. The commands on this machine read it.

Adopt reads the account with these commands of the AWS CLI, which must be installed:

  aws elbv2  describe-load-balancers, describe-load-balancer-attributes,
             describe-listeners, describe-rules, describe-target-groups,
             describe-target-group-attributes, describe-target-health
  aws ec2    describe-subnets, describe-route-tables, describe-security-groups
  aws ecs    list-clusters, describe-clusters, list-services, describe-services

Without access to the account, let somebody save what the commands print: with --save,
or by hand in a file for each command, as in describe-rules.json. If a command is run
several times, its files may be called describe-rules-80.json and describe-rules-443.json,
and those of attributes describe-target-group-attributes-NAME.json. Give the directory with
--from.

With --check adopt looks again at what the settings in cdk.json name. It says what has
changed since existing.template.json was written, and whether all still fits.

Exit code:

  0    all fits, and with --check nothing has changed
  1    something does not fit or cannot be read: nothing is written
  3    with --check: something has changed or does not fit`,
		Example: `  cutover adopt shop
  cutover adopt shop --listener 443 --monolith shop-web --priorities 200-299
  cutover adopt shop --cluster main --subnets subnet-0a1b2c3d4e5f60718,subnet-18f7e6d5c4b3a2900
  cutover adopt shop --save saved
  cutover adopt shop --from saved
  cutover adopt --check`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.read(cmd, args); err != nil {
				return err
			}
			return a.conclude(cmd, newView(cmd.OutOrStdout(), g))
		},
	}
	cmd.Flags().StringVar(&a.choice.Listener, "listener", "", "`PORT` of the listener (default: 443, or else the only one)")
	cmd.Flags().StringVar(&a.choice.Monolith, "monolith", "", "target `GROUP` of the monolith (default: that of the listener's default action)")
	cmd.Flags().StringVar(&a.choice.Cluster, "cluster", "", "ECS cluster of the services (default: that of the monolith, if it is a service of ECS)")
	cmd.Flags().StringSliceVar(&a.choice.Subnets, "subnets", nil, "private subnets of the services (default: those of the monolith, or else those in the zones of the load balancer)")
	cmd.Flags().StringVar(&a.choice.Priorities, "priorities", "", "priorities of Cutover's rules, `FROM-TO` (default: the first hundred that is free and fits the services' paths)")
	cmd.Flags().StringVar(&a.from, "from", "", "read what the commands have printed from this `DIRECTORY`, and not the account")
	cmd.Flags().StringVar(&a.save, "save", "", "keep what the commands print in this `DIRECTORY`")
	cmd.Flags().BoolVar(&a.check, "check", false, "compare with cdk.json and existing.template.json, and write nothing")
	cmd.Flags().BoolVar(&a.asJSON, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("from", "save")
	for _, flag := range []string{"listener", "monolith", "cluster", "subnets", "priorities"} {
		cmd.MarkFlagsMutuallyExclusive("check", flag)
	}
	return cmd
}

// read reads the settings and the account, and looks at them.
func (a *adopt) read(cmd *cobra.Command, args []string) (err error) {
	if a.file, err = step.ReadFile(cdkFile); err != nil {
		return err
	}
	setting := func(key string) string {
		text, _ := a.file.Context[key].(string)
		return text
	}
	if len(args) > 0 {
		a.choice.LoadBalancer = args[0]
	}
	adopted := setting("listenerArn")
	switch {
	case a.check && len(args) > 0:
		return fmt.Errorf("--check looks at the load balancer that %s names: leave %q out", cdkFile, args[0])
	case a.check && adopted == "":
		return fmt.Errorf("%s has no listenerArn to check: run `cutover adopt LOADBALANCER` first", cdkFile)
	case len(args) == 0 && adopted == "":
		return errors.New("name the load balancer, by its name or ARN, as in `cutover adopt shop`")
	}
	if len(args) == 0 { // what was adopted before is looked at again
		a.again(setting)
	}
	a.choice.CapacityProvider = setting("capacityProvider")
	a.choice.TaskSecurityGroups = existing.List(a.file.Context["taskSecurityGroupIds"])
	needs, err := needs(setting("namePrefix"))
	if err != nil {
		return err
	}

	aws := existing.AWS{Progress: cmd.ErrOrStderr(), Region: existing.Region(a.choice)}
	var source existing.Source = aws
	keeper := &existing.Keeper{Source: aws}
	if a.save != "" {
		source = keeper
	}
	if a.from != "" {
		if info, err := os.Stat(a.from); err != nil || !info.IsDir() {
			return fmt.Errorf("--from %s is no directory: name one with files such as describe-rules.json", a.from)
		}
		source = existing.Dir(a.from)
	}
	account, err := existing.Read(cmd.Context(), source, a.choice)
	if err != nil {
		return err
	}
	if a.save != "" {
		if err := keeper.Save(a.save); err != nil {
			return fmt.Errorf("--save: %w", err)
		}
	}
	a.report = existing.Look(account, a.choice, needs)
	a.settings(setting)
	if a.check {
		return a.compare()
	}
	return nil
}

// settings checks the settings beside those that adopt writes.
func (a *adopt) settings(setting func(key string) string) {
	add := func(state existing.State, found, do string) {
		a.report.Checks = append(a.report.Checks, existing.Check{Subject: cdkFile, Found: found, State: state, Do: do})
	}
	for _, key := range []string{"zones", "natGateways"} {
		if _, ok := a.file.Context[key]; ok {
			add(existing.Wrong, key+" is set", "it has no effect on an existing VPC, and is refused with vpcId: remove "+key)
		}
	}
	secure := slices.ContainsFunc(a.report.Settings, func(s existing.Setting) bool { return s.Key == "certificateArn" })
	if secure && setting("domain") == "" {
		add(existing.Note, "domain is not set", "set domain to the name by which clients reach the load balancer: the certificate is for that name")
	}
}

// again chooses what cdk.json has, unless a flag says otherwise.
func (a *adopt) again(setting func(key string) string) {
	c := &a.choice
	c.LoadBalancer = existing.LoadBalancerOf(setting("listenerArn"))
	for to, key := range map[*string]string{&c.Listener: "listenerArn", &c.Monolith: "monolithTargetGroupArn", &c.Cluster: "clusterName", &c.Priorities: "rulePriorities"} {
		if *to == "" {
			*to = setting(key)
		}
	}
	if len(c.Subnets) == 0 {
		c.Subnets = existing.List(a.file.Context["subnetIds"])
	}
	c.OwnCluster = c.Cluster == ""
	c.Adopted = c.Priorities == setting("rulePriorities")
}

// needs returns what the list of the last synthesis needs, or nil if there is no list.
func needs(prefix string) (*existing.Needs, error) {
	list, err := listing.Read("cdk.out")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return existing.NeedsOf(list.Deployment, prefix), nil
}

// compare compares what there is with what was written.
func (a *adopt) compare() error {
	was, err := existing.ReadDir(".")
	if errors.Is(err, fs.ErrNotExist) {
		a.drift = []string{assembly.ExistingFile + " is missing: write it with `cutover adopt`"}
		return nil
	}
	if err != nil {
		return err
	}
	if a.report.Template != nil {
		a.drift = existing.Compare(was, a.report.Template)
	}
	a.drift = append(a.drift, existing.CompareSettings(a.file.Context, a.report.Settings)...)
	return nil
}

// conclude prints the report, writes the files if all fits, and decides on the exit code.
func (a *adopt) conclude(cmd *cobra.Command, v *view) error {
	wrong := 0
	for _, c := range a.report.Checks {
		if c.State == existing.Wrong {
			wrong++
		}
	}
	var edited *step.File
	if wrong == 0 && !a.check {
		var settings []step.Setting
		for _, s := range a.report.Settings {
			settings = append(settings, step.Setting(s))
		}
		var err error
		if edited, err = a.file.Set(settings); err != nil {
			return fmt.Errorf("%s: %w", cdkFile, err)
		}
		// A synthesis with the settings needs the template, so the template is first.
		if err := file.Replace(assembly.ExistingFile, a.report.Template.Text(), 0o644); err != nil {
			return err
		}
		if err := edited.Write(); err != nil {
			return err
		}
	}
	if a.asJSON {
		if err := printJSON(cmd.OutOrStdout(), a.json()); err != nil {
			return err
		}
	} else {
		v.print(v.adopted(a, edited))
	}
	switch {
	case a.check && len(a.drift)+wrong > 0:
		return judgement{3, fmt.Errorf("%s, and %s", words.Count(len(a.drift), "change"), unfit(wrong))}
	case wrong > 0:
		return fmt.Errorf("%s: nothing was written", unfit(wrong))
	}
	return nil
}

// unfit counts what does not fit.
func unfit(n int) string {
	if n == 1 {
		return "1 thing does not fit"
	}
	return fmt.Sprintf("%d things do not fit", n)
}

// adopted is the report for people. Edited is the cdk.json that was written, nil if there is none.
func (v *view) adopted(a *adopt, edited *step.File) string {
	var b strings.Builder
	rows := [][]string{{"WHAT", "RESULT", "FOUND"}}
	for _, c := range a.report.Checks {
		rows = append(rows, []string{c.Subject, string(c.State), c.Found})
	}
	b.WriteString(v.table(rows))
	for _, part := range []struct {
		state existing.State
		title string
	}{{existing.Wrong, "What does not fit:"}, {existing.Note, "Mind this:"}} {
		title := "\n" + part.title + "\n\n"
		for _, c := range a.report.Checks {
			if c.State == part.state && c.Do != "" {
				fmt.Fprintf(&b, "%s- %s: %s\n", title, c.Subject, c.Do)
				title = ""
			}
		}
	}
	switch {
	case a.check && len(a.drift) > 0:
		fmt.Fprintf(&b, "\nWhat has changed since %s was written:\n\n- %s\n", assembly.ExistingFile, strings.Join(a.drift, "\n- "))
		b.WriteString("\nIf the changes are right, write them with `cutover adopt`, rehearse, and commit both files.\n")
	case a.check:
		fmt.Fprintf(&b, "\nNothing has changed since %s was written.\n", assembly.ExistingFile)
	}
	if a.check || len(a.report.Settings) == 0 {
		return b.String()
	}
	if edited == nil {
		b.WriteString("\nThe settings would be:\n\n")
		var settings [][]string
		for _, s := range a.report.Settings {
			settings = append(settings, []string{"  " + s.Key, s.Value})
		}
		b.WriteString(v.table(settings))
		return b.String()
	}
	if diff := udiff.Unified(cdkFile, cdkFile, string(a.file.Text), string(edited.Text)); diff != "" {
		b.WriteString("\n" + diff)
	}
	fmt.Fprintf(&b, `
Written: %[1]s and %[2]s. Look at them, and commit both:
  git add %[1]s %[2]s
  npx cdk synth --quiet
  %[3]s adopt --check
`, cdkFile, assembly.ExistingFile, v.program)
	return b.String()
}

// adoptJSON is the report for programs.
type adoptJSON struct {
	Fits     bool              `json:"fits"`
	Checks   []existing.Check  `json:"checks"`
	Settings map[string]string `json:"settings"`
	// Drift is there with --check.
	Drift []string `json:"drift,omitempty"`
}

func (a *adopt) json() adoptJSON {
	j := adoptJSON{a.report.Fits(), a.report.Checks, map[string]string{}, a.drift}
	for _, s := range a.report.Settings {
		j.Settings[s.Key] = s.Value
	}
	return j
}
