package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"

	"cutover/internal/deployable"
	"cutover/internal/local"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/plain"
	"cutover/internal/rules"
	"cutover/internal/words"
)

func statusCommand(g *global) *cobra.Command {
	var watch, asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show listener rules, services, tasks and their health, and functions",
		Long: `Status shows the deployment on this machine: listeners with their rules, services with
their tasks and health, functions with their execution environments, and what autoscaling
did last.`,
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
	var from source
	var method, address string
	var headers []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "routes URL...",
		Short: "Show where requests go, and why",
		Long: `Routes shows where the deployment on this machine sends a request, or where an assembly
does so with --app, --phase or --context, without a deployment:

  - what each front before the load balancer does, such as CloudFront, and why
  - the rule that decides, and its target group and targets
  - why the rules before it did not match

Write a request as a URL or a path. Put the method before it, or give it with --method.
A path alone is for the front that clients ask first. Without a front it is for port 80,
or else for the lowest port. If several load balancers listen on one port of the
deployment, write the URL with a local port. A request without an answer does not keep
the others from theirs.`,
		Example: `  cutover routes /api/users/1 /api/posts
  cutover routes "POST http://forum.example:80/api/users"
  cutover routes --app cdk.out --source 10.0.0.1 --header "X-Version: 2" /api/users`,
		Args: func(_ *cobra.Command, requests []string) error {
			if len(requests) == 0 {
				return errors.New(`routes needs a request: give a URL or a path, as in "cutover routes /api/users"`)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, requests []string) error {
			asked, err := askedOf(address, headers)
			if err != nil {
				return err
			}
			answer, err := from.router(cmd, g)
			if err != nil {
				return err
			}
			var routes []alb.Route
			var failed []error
			for _, request := range requests {
				if asked.Request = request; method != "" && !strings.Contains(request, " ") {
					asked.Request = method + " " + request
				}
				answers, err := answer(asked)
				if errors.Is(err, local.ErrNotRunning) {
					return fmt.Errorf("%w, or name an assembly with --app", err)
				}
				if err != nil {
					answers = []alb.Route{{Request: asked.Request, Error: err.Error(), Targets: []alb.TargetStatus{}}}
					failed = append(failed, fmt.Errorf("%s: %w", asked.Request, err))
				}
				routes = append(routes, answers...)
			}
			if asJSON {
				return errors.Join(append(failed, printJSON(cmd.OutOrStdout(), routes))...)
			}
			v := newView(cmd.OutOrStdout(), g)
			for _, route := range routes {
				if route.Error == "" {
					v.print(v.route(route))
				}
			}
			return errors.Join(failed...)
		},
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&method, "method", "", "method of the requests (default GET)")
	cmd.Flags().StringVar(&address, "source", "", "`ADDRESS` of the client, for rules on it (default 127.0.0.1)")
	cmd.Flags().StringArrayVar(&headers, "header", nil, "header of the requests, `\"NAME: VALUE\"`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// router answers for an assembly if the flags name one, or else for the deployment on this machine.
func (s *source) router(cmd *cobra.Command, g *global) (func(alb.Asked) ([]alb.Route, error), error) {
	if !cmd.Flags().Changed("app") && len(s.context) == 0 {
		if len(s.parameters) > 0 {
			return nil, errors.New("--parameters are for an assembly: name it with --app")
		}
		return func(asked alb.Asked) ([]alb.Route, error) {
			route, err := local.NewClient(g.state).Route(cmd.Context(), asked)
			return []alb.Route{route}, err
		}, nil
	}
	a, err := s.read(cmd.Context(), g)
	if err != nil {
		return nil, err
	}
	a.Locate(provider.Account, provider.Region) // as the deployment on this machine does
	m := model.Read(a)
	table, err := rules.Build(m)
	if err != nil {
		return nil, err
	}
	if fronts, err := local.Fronts(m); err != nil {
		return nil, err
	} else if len(fronts) == 0 {
		if err := deployable.NoListener(m); err != nil {
			return nil, err
		}
	}
	return func(asked alb.Asked) ([]alb.Route, error) { return local.Routes(m, table, asked) }, nil
}

// askedOf reads what the flags say of every request.
func askedOf(source string, headers []string) (asked alb.Asked, err error) {
	if source != "" {
		if asked.Source, err = netip.ParseAddr(source); err != nil {
			return asked, fmt.Errorf("--source %q is not an address, as in --source 10.0.0.1", source)
		}
	}
	asked.Header = http.Header{}
	for _, header := range headers {
		name, value, ok := strings.Cut(header, ":")
		if name = strings.TrimSpace(name); !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return asked, fmt.Errorf(`--header %q is not "NAME: VALUE", as in --header "X-Version: 2"`, header)
		}
		if strings.EqualFold(name, "Host") {
			return asked, errors.New("--header Host has no effect: write the host in the URL")
		}
		asked.Header.Add(name, strings.TrimSpace(value))
	}
	return asked, nil
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
				for _, f := range status.Functions {
					names = append(names, f.Name)
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
