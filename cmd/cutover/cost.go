package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cutover/internal/analysis/cost"
	"cutover/internal/analysis/review"
	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/plain"
)

func costCommand(g *global) *cobra.Command {
	var from source
	var base string
	var asJSON, asMarkdown bool
	cmd := &cobra.Command{
		Use:   "cost",
		Short: "Estimate what a deployment costs in a month, and which service causes it",
		Long: `Cost estimates from the templates what an environment costs in a month, at list prices
and without traffic. A service causes two parts of the cost:

  - the resources with its tag
  - the share of the instances that its tasks reserve, of CPU or memory, whichever is larger

All other costs are shared. With --base it shows the difference to another assembly.`,
		Example: `  cutover cost
  cutover cost -c env=prod
  cutover cost --app cdk.out --base ../main/cdk.out`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var other *assembly.Assembly
			var err error
			if base != "" { // before a synthesis, which takes long
				if other, err = assembly.Read(base); err != nil {
					return err
				}
			}
			to, err := from.read(cmd.Context(), g)
			if err != nil {
				return err
			}
			estimates, err := cost.Read(model.Read(to))
			if err != nil {
				return err
			}
			v := newView(cmd.OutOrStdout(), g)
			if base != "" {
				before, err := cost.Read(model.Read(other))
				if err != nil {
					return err
				}
				changes := cost.Compare(before, estimates)
				if asJSON {
					return printJSON(cmd.OutOrStdout(), append([]cost.Change{}, changes...))
				}
				v.print(v.changes(changes, asMarkdown))
				return nil
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), append([]cost.Estimate{}, estimates...))
			}
			for _, e := range estimates {
				v.print(v.estimate(e, asMarkdown))
			}
			return nil
		},
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&base, "base", "", "assembly to compare with")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&asMarkdown, "markdown", false, "print tables for a review")
	cmd.MarkFlagsMutuallyExclusive("json", "markdown")
	return cmd
}

func (v *view) estimate(e cost.Estimate, markdown bool) string {
	var b strings.Builder
	name := e.Environment
	if name == "" {
		name = "An environment without a tag"
	}
	if markdown {
		name = plain.Markdown(name)
	}
	fmt.Fprintf(&b, "%s, %s:\n\n", name, cost.About())
	services := [][]string{{"SERVICE", "TASKS", "INSTANCES", "US$"}}
	for _, s := range e.Services {
		tasks := fmt.Sprint(s.Tasks)
		if s.Name == cost.Shared {
			tasks = ""
		}
		services = append(services, []string{s.Name, tasks, fmt.Sprintf("%.4g %%", 100*s.Share), s.Amount.String()})
	}
	if markdown {
		b.WriteString(e.Markdown() + "\n" + review.Table(plain.Cells(services)))
	} else {
		rows := [][]string{{"WHAT", "PRICE", "US$"}}
		for _, line := range e.Lines {
			rows = append(rows, []string{line.Item, line.Price, line.Amount.String()})
		}
		b.WriteString(v.table(alignLast(append(rows, []string{"total", "", e.Total.String()}))) + "\n" + v.table(alignLast(services)))
	}
	if len(e.Traffic) > 0 {
		fmt.Fprintf(&b, "\nTraffic adds US$ %s.\n", strings.Join(e.Traffic, ", "))
	}
	if len(e.Unpriced) > 0 {
		fmt.Fprintf(&b, "\nNot in the estimate: %s.\n", strings.Join(e.Unpriced, ", "))
	}
	return b.String()
}

func (v *view) changes(changes []cost.Change, markdown bool) string {
	if len(changes) == 0 {
		return "The cost does not change."
	}
	rows := review.CostRows(changes)
	text := "In " + cost.About() + ":\n\n"
	if markdown {
		return text + review.Table(plain.Cells(rows))
	}
	return text + v.table(alignLast(rows))
}

// alignLast aligns the last column, of amounts, to the right.
func alignLast(rows [][]string) [][]string {
	width := 0
	for _, row := range rows {
		width = max(width, len(row[len(row)-1]))
	}
	for _, row := range rows {
		row[len(row)-1] = fmt.Sprintf("%*s", width, row[len(row)-1])
	}
	return rows
}
