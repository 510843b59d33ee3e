package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cutover/internal/local/provider"
	"cutover/internal/rehearsal"
)

var (
	// A command in the documents: in a block, or between backquotes.
	mentioned = regexp.MustCompile("(?:^|[ `(])(?:\\$ )?(?:bin/)?cutover ([^`#|;)]*)")
	// A flag between backquotes by itself belongs to the command that the line has named.
	aside = regexp.MustCompile("`(-[^`]*)`")
	word  = regexp.MustCompile(`^[a-z-]+$`)
	// Not KIND:SERVICE, by which it is explained.
	fault = regexp.MustCompile(`^[a-z-]+:[a-z]+`)
)

// TestDocuments: every command of this program that a document names is there, with
// every flag that it is given and every fault that is to be done.
func TestDocuments(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range append(files, "../../README.md", "../../CONTRIBUTING.md", "../../SECURITY.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		block, line := false, 0
		for row := range strings.Lines(string(text)) {
			line++
			row = strings.TrimSuffix(row, "\n")
			if strings.HasPrefix(row, "```") {
				block = !block
				continue
			}
			var last *cobra.Command
			for _, match := range mentioned.FindAllStringSubmatchIndex(row, -1) {
				// Outside of blocks a command stands between backquotes; the rest is prose.
				if !block && strings.Count(row[:match[2]], "`")%2 == 0 {
					continue
				}
				args := strings.Fields(row[match[2]:match[3]])
				if len(args) == 0 || !strings.HasPrefix(args[0], "-") && !word.MatchString(args[0]) {
					continue
				}
				found++
				last = check(t, file, line, args)
			}
			if last == nil || block {
				continue
			}
			for _, match := range aside.FindAllStringSubmatch(row, -1) {
				flags(t, file, line, last, strings.Fields(match[1]))
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d commands are found in the documents", found)
	}
}

// check returns the command that arguments name.
func check(t *testing.T, file string, line int, args []string) *cobra.Command {
	t.Helper()
	cmd, rest, err := command().Find(args)
	if err != nil || cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		t.Errorf("%s:%d: there is no command %q", file, line, strings.Join(args, " "))
		return nil
	}
	flags(t, file, line, cmd, rest)
	return cmd
}

// flags looks for the flags among arguments.
func flags(t *testing.T, file string, line int, cmd *cobra.Command, args []string) {
	t.Helper()
	cmd.InitDefaultHelpFlag()
	for i, arg := range args {
		name, value, given := strings.Cut(arg, "=")
		var flag *pflag.Flag
		switch {
		case strings.HasPrefix(name, "--"):
			for _, set := range []*pflag.FlagSet{cmd.Flags(), cmd.InheritedFlags()} {
				if f := set.Lookup(name[2:]); f != nil {
					flag = f
				}
			}
		case strings.HasPrefix(name, "-") && len(name) == 2:
			flag = cmd.Flags().ShorthandLookup(name[1:])
		default:
			continue
		}
		if flag == nil {
			t.Errorf("%s:%d: %q has no flag %s", file, line, cmd.CommandPath(), name)
			continue
		}
		if !given && i+1 < len(args) {
			value = args[i+1]
		}
		if flag.Name != "fault" || !fault.MatchString(value) {
			continue
		}
		harm, err := rehearsal.ParseFault(value)
		if err != nil || !slices.ContainsFunc(faultKinds(), func(k provider.FaultKind) bool { return k.Name == harm.Kind }) {
			t.Errorf("%s:%d: there is no fault %q: %v", file, line, value, err)
		}
	}
}

// TestExitCodesInDocuments: the document has the table of the code.
func TestExitCodesInDocuments(t *testing.T) {
	text, err := os.ReadFile("../../docs/rehearsal.md")
	if err != nil {
		t.Fatal(err)
	}
	table := "| exit code | meaning |\n|---|---|\n"
	for _, exit := range rehearsal.ExitCodes() {
		table += fmt.Sprintf("| %d | %s |\n", exit.Code, strings.ReplaceAll(exit.Means, "--strict", "`--strict`"))
	}
	if !strings.Contains(string(text), "\n"+table+"\n") {
		t.Errorf("docs/rehearsal.md does not have this table:\n%s", table)
	}
}
