package main

import (
	"github.com/spf13/cobra"

	"cutover/internal/local"
)

func runTaskCommand(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "run-task NAME",
		Short: "Run a scheduled task of the deployment on this machine now",
		Long: `Run-task runs the tasks of a schedule now, as RunTask of ECS does, and waits for their end.
NAME is the schedule's name, as "cutover status" shows it. The schedule may be disabled.
Ctrl-C stops the tasks. If a task fails, the exit code is 1. What the tasks write is in
"cutover logs NAME".`,
		Example: `  cutover run-task nightly-report
  cutover logs nightly-report`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v := newView(cmd.OutOrStdout(), g)
			return local.NewClient(g.state).RunTask(cmd.Context(), args[0], func(e local.Event) {
				if line := eventLine(e); line != "" && e.Subject == args[0] {
					v.print(line)
				}
			})
		},
	}
}
