package main

import (
	"github.com/spf13/cobra"

	"cutover/internal/analysis/diagram"
	"cutover/internal/assembly"
)

func pictureCommand(g *global) *cobra.Command {
	var from source
	var stacks bool
	cmd := &cobra.Command{
		Use:   "picture",
		Short: "Draw what the templates describe",
		Long: `Picture draws the way of a request as the templates describe it: from the client by the
listeners and their rules to the target groups, the services with their tasks, what
these run on, and the repositories of their images. With --stacks it draws which stack
is deployed after which.

It prints a flowchart in the language of Mermaid, which GitHub shows in a Markdown
file, in a block that begins with ` + "```mermaid" + `.`,
		Example: `  cutover picture
  cutover picture --phase switched
  cutover picture --stacks --app cdk.out`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := from.assembly(cmd.Context(), g)
			if err != nil {
				return err
			}
			a, err := assembly.Read(dir)
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
	cmd.Flags().BoolVar(&stacks, "stacks", false, "draw the stacks and what they wait for instead")
	return cmd
}
