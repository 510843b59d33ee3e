package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
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

// readSecrets reads a file with a line for each secret. A file that is not there has no secrets. The
// error names the line of a mistake, and never has a value. A file that git does not ignore is an
// error, too.
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
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := secretLine(line)
		if !ok {
			return nil, fmt.Errorf("%s, line %d is not NAME=VALUE, NAME='VALUE' or NAME=\"VALUE\"", file, number)
		}
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("%s, line %d: %s is there twice: a secret has one value", file, number, name)
		}
		values[name] = value
	}
	return values, nil
}

var (
	secretName = regexp.MustCompile(`^[A-Za-z_][\w.-]*$`)
	comment    = regexp.MustCompile(`\s+#.*$`)
)

// secretLine reads a line. As in a shell, single quotes take a text as it is, and a comment begins after
// a space. Double quotes take the escapes of Go, such as \n. Nothing else is replaced.
func secretLine(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(strings.TrimPrefix(line, "export "), "=")
	name = strings.TrimSpace(name)
	if !ok || !secretName.MatchString(name) {
		return "", "", false
	}
	rest := ""
	switch begin := strings.TrimSpace(value); {
	case strings.HasPrefix(begin, "'"):
		value, rest, ok = strings.Cut(begin[1:], "'")
	case strings.HasPrefix(begin, `"`):
		quoted, _ := strconv.QuotedPrefix(begin)
		text, err := strconv.Unquote(quoted)
		value, rest, ok = text, begin[len(quoted):], err == nil
	default:
		value = strings.TrimSpace(comment.ReplaceAllString(value, ""))
	}
	return name, value, ok && comment.ReplaceAllString(rest, "") == ""
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
