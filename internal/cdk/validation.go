package cdk

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"cutover/config"
)

// validationVariable is what CDK looks at: "false" skips validation.
const validationVariable = "CDK_VALIDATION"

func init() {
	if os.Getenv("CDK_OUTDIR") != "" { // set by the CDK command line
		skip()
	}
}

// skip has CDK not validate the templates if the command that runs the app only
// looks at them, and they are not production's, which could be deployed from where
// they are written to. Whoever sets the variable has decided already.
func skip() {
	if _, decided := os.LookupEnv(validationVariable); decided || !onlyLooks(ancestors()) {
		return
	}
	context, err := config.ContextFromEnvironment(os.Getenv)
	env, _ := context["env"].(string)
	if err == nil && !(config.Settings{Env: env}).Production() {
		os.Setenv(validationVariable, "false")
	}
}

// looking are the commands of the CDK command line that synthesize and leave AWS
// as it is.
var looking = []string{"diff", "doctor", "list", "ls", "metadata", "synth", "synthesize"}

// onlyLooks tells from the command lines of the processes that run the app, the
// nearest first, that the CDK command line only wants to look at the templates.
// It is false if that cannot be told.
func onlyLooks(commands []string) bool {
	for _, command := range commands {
		words := strings.Fields(command)
		for i, word := range words[:max(0, len(words)-1)] {
			if name := filepath.Base(word); name == "cdk" || name == "cdk.js" {
				return slices.Contains(looking, words[i+1])
			}
		}
	}
	return false
}

// ancestors are the command lines of the process's parent, of its parent, and so
// on; none where the ps command does not tell.
func ancestors() []string {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,args=").Output()
	if err != nil {
		return nil
	}
	parents, commands := map[int]int{}, map[int]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		pid, _ := strconv.Atoi(fields[0])
		parents[pid], _ = strconv.Atoi(fields[1])
		commands[pid] = strings.Join(fields[2:], " ")
	}
	var found []string
	for pid := os.Getppid(); pid > 1 && commands[pid] != ""; pid = parents[pid] {
		found = append(found, commands[pid])
		delete(commands, pid) // a loop cannot be, but must not be for ever
	}
	return found
}
