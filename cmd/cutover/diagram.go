package main

import (
	"github.com/spf13/cobra"

	"cutover/internal/analysis/diagram"
)

func diagramCommand(g *global) *cobra.Command {
	var from source
	var stacks bool
	cmd := &cobra.Command{
		Use:     "diagram",
		Aliases: []string{"picture"}, // its former name
		Short:   "Draw the way of a request, or the order of the stacks",
		Long: `Diagram draws from the templates how a request reaches a service: the listeners, their
rules, the target groups, the services with their tasks, the instances and the image
repositories. With --stacks it draws which stack is deployed after which.

It prints a Mermaid flowchart. To show the flowchart on GitHub, put it into a Markdown
file, in a block that begins with ` + "```mermaid" + `.`,
		Example: `  cutover diagram
  cutover diagram --phase switched
  cutover diagram --stacks --app cdk.out`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := from.read(cmd.Context(), g)
			if err != nil {
				return err
			}
			chart := diagram.Stacks(a)
			if !stacks {
				if chart, err = diagram.Requests(diagram.Layer{Assembly: a}); err != nil {
					return err
				}
			}
			newView(cmd.OutOrStdout(), g).print(chart)
			return nil
		},
	}
	from.flags(cmd)
	cmd.Flags().BoolVar(&stacks, "stacks", false, "draw the stacks and their order instead")
	return cmd
}
