package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"cutover/internal/onaws"
)

func databaseCommand() *cobra.Command {
	var env string
	cmd := &cobra.Command{
		Use:   "database",
		Short: "Make the databases and users of services on AWS",
		Long: `Database makes a database and a user for each service that keeps its records in Aurora
PostgreSQL. Only this user connects to the database, with a token of IAM. Run the command
after the first deployment, and after a service is new. It may run again: what is there
already stays as it is.

The command uses the RDS Data API, with the secret of the cluster's administrator. So it
needs no connection to the cluster. A cluster that has paused resumes first.

On this machine the databases and users come into being by themselves.`,
		Example: `  cutover database
  cutover database --env prod`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			app, err := appOnAWS(cmd, env)
			if err != nil {
				return err
			}
			changes := 0
			setup := onaws.Setup{
				Stack: app.Env + "-Data",
				Did: func(step string, changed bool) {
					if changed {
						changes++
						fmt.Fprintln(cmd.OutOrStdout(), "Done:", step)
					}
				},
				Waiting: func() { fmt.Fprintln(cmd.ErrOrStderr(), "The cluster has paused: waiting until it has resumed") },
			}
			if err := setup.Run(cmd.Context(), os.Getenv); err != nil {
				return err
			}
			if changes == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "Nothing to do: all databases and users are there")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&env, "env", "", "environment on AWS (default: the one in cdk.json)")
	return cmd
}
