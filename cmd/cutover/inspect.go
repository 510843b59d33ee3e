package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cutover/internal/local"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/plain"
	"cutover/internal/words"
)

func statusCommand(g *global) *cobra.Command {
	var watch, asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show listener rules, services, tasks and their health",
		Long: `Status shows the deployment on this machine: listeners with their rules, services with
their tasks and health, and what autoscaling did last.`,
		Example: `  cutover status
  cutover status --watch
  cutover status --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, v := local.NewClient(g.state), newView(cmd.OutOrStdout(), g)
			for {
				status, err := client.Status(cmd.Context())
				if errors.Is(err, context.Canceled) {
					return nil
				}
				if err != nil {
					return err
				}
				if asJSON {
					err = printJSON(cmd.OutOrStdout(), status)
				} else if watch {
					v.redraw(v.status(status, v.room()))
				} else {
					v.print(v.status(status, 0))
				}
				if err != nil || !watch {
					return err
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(time.Second):
				}
			}
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show the status every second, until Ctrl-C")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON; with --watch, one line each second")
	return cmd
}

func routesCommand(g *global) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "routes URL...",
		Short: "Show where requests go, and why",
		Long: `Routes shows where the deployment on this machine sends a request:

  - the rule that decides, and its target group and targets
  - why the rules before it did not match

Write a request as a URL or a path. Put the method before it, unless the method is GET.
If several load balancers listen on one port, write the URL with a local port.`,
		Example: `  cutover routes /api/users/1 /api/posts
  cutover routes "POST http://forum.example:80/api/users"`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, requests []string) error {
			client, v := local.NewClient(g.state), newView(cmd.OutOrStdout(), g)
			var routes []alb.Route
			for _, request := range requests {
				route, err := client.Route(cmd.Context(), request)
				if err != nil {
					return fmt.Errorf("%s: %w", request, err)
				}
				routes = append(routes, route)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), routes)
			}
			for _, route := range routes {
				v.print(v.route(route))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func logsCommand(g *global) *cobra.Command {
	var follow, asJSON bool
	cmd := &cobra.Command{
		Use:   "logs [SERVICE]",
		Short: "Show the output of the containers",
		Long: `Logs shows what the containers wrote, those of one service or all. If no deployment is
running, it shows the output of the last one.`,
		Example: `  cutover logs users
  cutover logs -f`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			service := strings.Join(args, "")
			status, err := local.NewClient(g.state).Status(cmd.Context())
			running := err == nil
			if running && service != "" {
				var names []string
				for _, s := range status.Services {
					names = append(names, s.Name)
				}
				if !slices.Contains(names, service) {
					return fmt.Errorf("there is no service %q: %s", service, words.Choice(names))
				}
			}
			v, lines := newView(cmd.OutOrStdout(), g), 0
			err = local.Logs(cmd.Context(), g.state, service, follow, func(line ecs.LogLine) {
				lines++
				if asJSON {
					printJSON(cmd.OutOrStdout(), line)
					return
				}
				v.logLine(line)
			})
			if err == nil && !running && lines == 0 && service != "" {
				err = fmt.Errorf("the last deployment in %s has no lines of a service %q", g.state, service)
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for further output, until Ctrl-C")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each line as JSON")
	return cmd
}

// printJSON prints a value on one line. Control characters that JSON allows are escaped, because the
// line may go to a terminal.
func printJSON(w io.Writer, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, plain.Visible(string(text)))
	return err
}
