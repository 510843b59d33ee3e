// Emulate runs a command against an emulated AWS on this machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/mattn/go-isatty"

	"cutover/internal/emulate"
)

const usage = `Usage: emulate [-hold] COMMAND [ARGUMENT...]

Starts an emulated AWS on this machine, bootstraps it for CDK, runs the command,
and stops the emulator. The environment of the command leads cdk, aws and the AWS
SDKs to the emulator. The exit code is the command's.

  emulate cdk deploy --all --require-approval never
  emulate -hold cdk deploy --all --require-approval never
  emulate bash

  -hold  if the command succeeds in a terminal, keep the emulator up until Ctrl-C;
         if a program is missing that the emulator needs, say so and succeed
         without the command

The emulator needs Docker, and Python 3 with moto. Nothing leaves this machine.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("emulate", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	hold := flags.Bool("hold", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "emulate: %v\n\n%s", err, usage)
		return 2
	case flags.NArg() == 0:
		fmt.Fprintf(stderr, "emulate: there is no command to run\n\n%s", usage)
		return 2
	}

	if missing := emulate.Missing(); len(missing) > 0 {
		fmt.Fprintf(stderr, "The emulated AWS cannot run here. This machine lacks:\n  %s\n", strings.Join(missing, "\n  "))
		if !*hold {
			return 1
		}
		fmt.Fprintf(stdout, "Nothing was deployed and nothing is running.\nNext: install what is missing and run this again, or deploy to an AWS account with `make deploy`.\n")
		return 0
	}
	err := withAWS(ctx, flags.Args(), *hold, stdout, stderr)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode()
	case err != nil:
		fmt.Fprintf(stderr, "emulate: %v\n", err)
		return 1
	}
	return 0
}

func withAWS(ctx context.Context, command []string, hold bool, stdout, stderr io.Writer) (err error) {
	fmt.Fprintln(stdout, "Starting the emulated AWS")
	aws, err := emulate.Start(ctx, emulate.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, aws.Close()) }()

	call := func(name string, args ...string) error {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Env = append(os.Environ(), aws.Env()...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		return cmd.Run()
	}
	environment := "aws://" + emulate.Account + "/" + emulate.Region
	if err := call("cdk", "bootstrap", environment); err != nil {
		return fmt.Errorf("cdk bootstrap %s: %w", environment, err)
	}
	if err := call(command[0], command[1:]...); err != nil || !hold {
		return err
	}

	if !isatty.IsTerminal(os.Stdin.Fd()) {
		fmt.Fprintln(stdout, "\nThere is no terminal to wait in, so the emulated AWS stops. Nothing runs any more.")
		return nil
	}
	fmt.Fprintf(stdout, "\nThe emulated AWS is up at %s until you press Ctrl-C. To use it from another terminal:\n", aws.Endpoint())
	for _, variable := range aws.Env() {
		fmt.Fprintf(stdout, "  export %s\n", variable)
	}
	fmt.Fprintln(stdout, "  npx cdk diff -c phase=parallel")
	<-ctx.Done()
	return nil
}
