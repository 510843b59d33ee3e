package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-envparse"
)

// secretsFile is in the state directory, which only this user may read.
const secretsFile = "secrets.env"

// secretFlags reads values of --secret. No error has a value: even one without a name may be a secret.
func secretFlags(pairs []string) (map[string]string, error) {
	values := map[string]string{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, errors.New("a value of --secret is not NAME=VALUE, as in --secret SESSION_SECRET=...")
		}
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("--secret %s is there twice: a secret has one value", name)
		}
		values[name] = value
	}
	return values, nil
}

// readSecrets reads a file with lines NAME=VALUE. A file that is not there has no secrets. The error
// names the line of a mistake, and never has a value. A file that git does not ignore is an error, too.
func readSecrets(file string) (map[string]string, error) {
	values := map[string]string{}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return values, nil
	}
	if err == nil {
		err = ignored(file)
	}
	if err != nil {
		return nil, err
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		parsed, err := envparse.Parse(strings.NewReader(line))
		if err != nil || len(parsed) > 0 && cutOff(line) {
			return nil, fmt.Errorf("%s, line %d is not NAME=VALUE: put a value with spaces, # or quotes into single quotes", file, number)
		}
		for name, value := range parsed {
			if _, twice := values[name]; twice {
				return nil, fmt.Errorf("%s, line %d: %s is there twice: a secret has one value", file, number, name)
			}
			values[name] = value
		}
	}
	return values, nil
}

// cutOff says that a value without quotes has a # that would begin a comment, as in PW=a#b.
func cutOff(line string) bool {
	_, value, _ := strings.Cut(line, "=")
	value = strings.TrimSpace(value)
	hash := strings.Index(value, "#")
	return hash == 0 || hash > 0 && !strings.ContainsAny(value[:1], `'"`) && value[hash-1] != ' '
}

// ignored says that git would commit a file. Without git or a repository nothing would.
func ignored(file string) error {
	err := exec.Command("git", "-C", filepath.Dir(file), "check-ignore", "--quiet", filepath.Base(file)).Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 { // as documented; 128 means that there is no repository
		return fmt.Errorf("git does not ignore %s, so the secrets could be committed: add it to .gitignore, and take it out of git with `git rm --cached %[1]s` if it is there", file)
	}
	return nil
}

// secrets returns a function that gives the secrets of a file, as it is then, and of flags, which go first.
func secrets(file string, flags []string) (func() (map[string]string, error), error) {
	given, err := secretFlags(flags)
	if err != nil {
		return nil, err
	}
	read := func() (map[string]string, error) {
		values, err := readSecrets(file)
		if err == nil {
			maps.Copy(values, given)
		}
		return values, err
	}
	_, err = read()
	return read, err
}
