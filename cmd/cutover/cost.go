package main

import (
	"fmt"
	"math"
	"strconv"
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
	var own []string
	var asJSON, asMarkdown bool
	cmd := &cobra.Command{
		Use:   "cost",
		Short: "Estimate what a deployment costs in a month, and which service causes it",
		Long: `Cost estimates from the templates what an environment costs in a month, at list prices
and without traffic. A service causes two parts of the cost:

  - the resources with its tag
  - the share of the instances that its tasks reserve, of CPU or memory, whichever is larger

All other costs are shared. With --base it shows the difference to another assembly.

What has no price in the list is named as not in the estimate. To give a price of your
own, use --price NAME=US$:

  - for an instance type, like t2.micro: by the hour
  - for a volume type, like gp2: for a GB and month
  - for anything else, by the name that the estimate has for it: for one and a month`,
		Example: `  cutover cost
  cutover cost -c env=prod
  cutover cost --app ../other/cdk.out --price t2.micro=0.0116 --price gp2=0.10
  cutover cost --app cdk.out --base ../main/cdk.out`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			prices, err := parsePrices(own)
			if err != nil {
				return err
			}
			var other *assembly.Assembly
			if base != "" { // before a synthesis, which takes long
				if other, err = from.readBase(base); err != nil {
					return err
				}
			}
			to, err := from.read(cmd.Context(), g)
			if err != nil {
				return err
			}
			estimates, unused := cost.ReadAt(model.Read(to), prices)
			v := newView(cmd.OutOrStdout(), g)
			if base != "" {
				before, unusedBefore := cost.ReadAt(model.Read(other), prices)
				if unused != nil && unusedBefore != nil {
					return unused
				}
				changes := cost.Compare(before, estimates)
				if asJSON {
					return printJSON(cmd.OutOrStdout(), append([]cost.Change{}, changes...))
				}
				v.print(v.changes(changes, asMarkdown))
				return nil
			}
			if unused != nil {
				return unused
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), append([]cost.Estimate{}, estimates...))
			}
			if len(estimates) == 0 {
				v.print("There is nothing to estimate: the assembly has no resources.")
			}
			for _, e := range estimates {
				v.print(v.estimate(e, asMarkdown))
			}
			return nil
		},
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&base, "base", "", "assembly to compare with")
	cmd.Flags().StringArrayVar(&own, "price", nil, "price of your own in US dollars, `NAME=US$`")
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
	text := plain.Line
	if markdown {
		text = plain.Markdown
	}
	name = text(name)
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
	list := func(title string, all []string) {
		if len(all) == 0 {
			return
		}
		b.WriteString("\n" + title + ":\n\n")
		for _, one := range all {
			b.WriteString("- " + text(one) + "\n")
		}
	}
	list("Finding and calling each other", e.Calls)
	list("Functions", e.Functions)
	list("Events", e.Events)
	list("A million requests", e.Fronts)
	if len(e.Unpriced) > 0 {
		fmt.Fprintf(&b, "\nNot in the estimate: %s.\n", text(strings.Join(e.Unpriced, ", ")))
	}
	list("Not known before a deployment, and estimated with its default", e.Unknown)
	return b.String()
}

// parsePrices reads the prices of --price.
func parsePrices(own []string) (cost.Prices, error) {
	prices := cost.Prices{}
	for _, pair := range own {
		i := strings.LastIndex(pair, "=")
		price, err := strconv.ParseFloat(pair[i+1:], 64)
		if i < 1 || err != nil || !(price >= 0) || math.IsInf(price, 0) {
			return nil, fmt.Errorf("--price %q is not NAME=US$, as in --price t2.micro=0.0116", pair)
		}
		if _, twice := prices[pair[:i]]; twice {
			return nil, fmt.Errorf("--price %s is there twice: a name has one price", pair[:i])
		}
		prices[pair[:i]] = price
	}
	return prices, nil
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
