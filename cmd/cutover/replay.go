package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func replayCommand(g *global) *cobra.Command {
	var o run
	var service, history string
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Fold the log of a service's changes, and compare the result with its records",
		Long: `Replay folds the log of changes of a service from the beginning, and compares the result with
the records that are stored. It says where they differ, and then the exit code is 1. With
--history it shows the changes of one record instead: when, by whom, and what.

The service needs the field History. Replay runs in a task of its own, as "cutover run"
does, and changes nothing.

Replay takes the deployment on this machine, or the one on AWS if nothing runs here.`,
		Example: `  cutover replay --service posts
  cutover replay --service posts --history 7
  cutover replay --aws --env prod --service posts`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if service == "" {
				return errors.New("replay needs a service: name one with --service, as in --service posts")
			}
			command := []string{"replay"}
			if history != "" {
				command = []string{"history", history}
			}
			return o.run(cmd, g, service, command)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&service, "service", "", "service whose log is folded")
	flags.StringVar(&history, "history", "", "show the changes of the record with this `ID`")
	flags.BoolVar(&o.local, "local", false, "run on this machine")
	flags.BoolVar(&o.aws, "aws", false, "run on AWS (default if no deployment runs here)")
	flags.StringVar(&o.env, "env", "", "environment on AWS (default: the one in cdk.json)")
	cmd.MarkFlagsMutuallyExclusive("local", "aws")
	cmd.MarkFlagsMutuallyExclusive("local", "env")
	return cmd
}
