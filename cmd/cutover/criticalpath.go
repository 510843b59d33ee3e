package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cutover/internal/analysis/criticalpath"
	"cutover/internal/assembly"
	"cutover/internal/words"
)

func criticalPathCommand(g *global) *cobra.Command {
	var from source
	var base string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "critical-path",
		Aliases: []string{"path"}, // its former name
		Short:   "Show what a deployment has to wait for",
		Long: `Critical-path reads from the templates:

  - which resources a deployment creates, updates and deletes
  - which of these steps wait for each other
  - the longest chain of such steps, beside all steps one after the other

Stacks of one turn deploy side by side, up to the number in "cdk deploy --concurrency".

SECONDS has only the times that the templates choose, such as health checks and stop
timeouts. The times are upper bounds. How long AWS takes for a step is not known.

Without --base the deployment is a first one. With --base it updates that assembly.`,
		Example: `  cutover critical-path
  cutover critical-path --app cdk.out --base ../main/cdk.out
  cutover critical-path --base cdk.out --phase switched`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var before *assembly.Assembly
			var err error
			if base != "" { // before a synthesis, which takes long
				if before, err = from.readBase(base); err != nil {
					return err
				}
			}
			to, err := from.read(cmd.Context(), g)
			if err != nil {
				return err
			}
			path, err := criticalpath.Read(before, to)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), path)
			}
			v := newView(cmd.OutOrStdout(), g)
			v.print(v.criticalPath(path))
			return nil
		},
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&base, "base", "", "assembly that is deployed (default none: a first deployment)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (v *view) criticalPath(p *criticalpath.Path) string {
	var b strings.Builder
	rows := [][]string{{"TURN", "STACK", "RESOURCES", "STEPS", "CHAIN", "SECONDS", "WAITS FOR (VALUES IT READS)"}}
	var rest []string
	for _, s := range p.Stacks {
		if s.Turn == 0 {
			rest = append(rest, s.Name)
			continue
		}
		var needs []string
		for _, need := range s.Needs {
			needs = append(needs, fmt.Sprintf("%s (%d)", need.Stack, need.Values))
		}
		rows = append(rows, []string{fmt.Sprint(s.Turn), s.Name, touched(s), fmt.Sprint(s.All.Steps), fmt.Sprint(s.Alone.Steps), seconds(s.Alone.Seconds), strings.Join(needs, ", ")})
	}
	if len(rows) == 1 {
		return "Nothing changes."
	}
	b.WriteString(v.table(rows))
	if len(rest) > 0 {
		fmt.Fprintf(&b, "\nLeft as they are: %s.\n", strings.Join(rest, ", "))
	}

	b.WriteString("\nThe longest chain:\n\n")
	rows = [][]string{{"STACK", "STEP", "RESOURCE", "TYPE", "SECONDS"}}
	stack, sum := "", 0
	for _, step := range p.Chain {
		sum += step.Seconds
		name := ""
		if step.Stack != stack {
			stack, name = step.Stack, step.Stack
		}
		rows = append(rows, []string{name, string(step.Action), step.Name, step.Type, strings.TrimSpace(seconds(step.Seconds) + "  " + step.Why)})
		if step.GivesUp > 0 {
			rows = append(rows, []string{"", "", "", "", fmt.Sprintf("if its tasks never get healthy, rolled back after at most %d s", step.GivesUp)})
		}
	}
	b.WriteString(v.table(rows))

	all := func(l criticalpath.Length) []string {
		return []string{words.Count(l.Stacks, "stack"), words.Count(l.Steps, "step"), fmt.Sprintf("at most %d s", l.Seconds)}
	}
	b.WriteString("\n" + v.table([][]string{
		append([]string{"one after the other"}, all(p.Serial)...),
		append([]string{"the longest chain"}, all(p.Longest)...),
	}))
	if sum < p.Longest.Seconds {
		fmt.Fprintf(&b, "\nA chain of fewer steps has those %d s.\n", p.Longest.Seconds)
	}
	fmt.Fprintf(&b, "\nMost stacks at a time: %d.\n", p.SideBySide())
	if len(p.Unknown) > 0 {
		fmt.Fprintf(&b, "\nNot in the numbers: %s.\n", strings.Join(p.Unknown, ", "))
	}
	return b.String()
}

func touched(s criticalpath.Stack) string {
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{{s.Created, "created"}, {s.Updated, "updated"}, {s.Replaced, "replaced"}, {s.Deleted, "deleted"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	return strings.Join(parts, ", ")
}

func seconds(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
