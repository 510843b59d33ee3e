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

// validationVariable is CDK's variable: "false" turns validation off.
const validationVariable = "CDK_VALIDATION"

// skip turns validation off if the command that runs the app only looks at the templates. It always
// validates production's templates: they could be deployed from their directory. It respects a
// variable that is set already.
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

// looking has the commands of the CDK command line that synthesize and change nothing on AWS.
var looking = []string{"diff", "doctor", "list", "ls", "metadata", "synth", "synthesize"}

// onlyLooks reports whether the CDK command line only looks at the templates. It gets the command
// lines of the processes above the app, the nearest first. If it cannot tell, the result is false.
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

// ancestors returns the command lines of the parent process, of its parent, and so on. Without the
// ps command there are none.
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
		delete(commands, pid) // so that even a loop ends
	}
	return found
}
