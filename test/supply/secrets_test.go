package supply

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cutover/internal/build"
	"cutover/internal/nightly"
)

// secrets are the forms of secrets, each with a sample. A sample is in two parts, so
// that this file does not contain it. A text of the form contains one of the words,
// in any case. The expressions are applied around the words only, which binaries
// have few of.
var secrets = []struct {
	name, pattern, sample string
	words                 []string
}{
	{"AWS access key", `\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b`, "AKIA" + "ABCDEFGHIJKLMNOP", []string{"akia", "asia", "abia", "acca"}},
	{"AWS secret key", `(?i)\baws_?(?:secret)?_?(?:access)?_?key\b["']?\s*[:=]\s*["']?[A-Za-z0-9/+]{40}\b`, "aws_secret_access_key = " + strings.Repeat("aB3c", 10), []string{"awskey", "aws_key", "awssecret", "aws_secret", "awsaccess", "aws_access"}},
	{"AWS session token", `(?i)session_?token\b["']?\s*[:=]\s*["']?[A-Za-z0-9/+=]{100,}`, "AWS_SESSION_TOKEN=" + strings.Repeat("Fwo", 40), []string{"sessiontoken", "session_token"}},
	{"private key", `-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{40,}`, "-----BEGIN RSA PRIVATE" + " KEY-----\n" + strings.Repeat("MIIE", 12), []string{"private key-----"}},
	{"GitHub token", `\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})`, "ghp_" + strings.Repeat("a1B2", 9), []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"}},
	{"npm token", `\bnpm_[A-Za-z0-9]{36}\b`, "npm_" + strings.Repeat("a1B2", 9), []string{"npm_"}},
	{"Slack token", `\bxox[abeoprs]-[0-9A-Za-z-]{20,}`, "xoxb-" + strings.Repeat("1234", 6), []string{"xox"}},
	{"JSON web token", `\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}`, "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0In0." + strings.Repeat("a", 20), []string{".eyj"}},
	{"password in a URL", `\b[a-z][a-z0-9+]*://[^\s/:@"'$<>{}%]+:[^\s/:@"'$<>{}%]{3,}@[a-z0-9]`, "postgres://forum:hunter2" + "@db.example.com", []string{"://"}},
	{"password or token in quotes", `(?i)["']?(?:password|passwd|secret|token|api_?key)["']?\s*[:=]\s*["'][A-Za-z0-9+/_.~-]{12,}["']`, `password: "` + `correct-horse-battery"`,
		[]string{"password", "passwd", "secret", "token", "apikey", "api_key"}},
}

// leaks applies the expressions around the words.
func leaks(text []byte) []string {
	const before, after = 200, 400
	lower := bytes.Clone(text) // of ASCII, so that positions stay
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	find := func(expression *regexp.Regexp, word string) []byte {
		for at := 0; ; {
			i := bytes.Index(lower[at:], []byte(word))
			if i < 0 {
				return nil
			}
			at += i
			if match := expression.Find(text[max(0, at-before):min(len(text), at+after)]); match != nil {
				return match
			}
			at += len(word)
		}
	}
	var found []string
	for i, s := range secrets {
		for _, word := range s.words {
			if match := find(expressions()[i], word); match != nil {
				// Only the beginning, for logs of tests are kept.
				found = append(found, s.name+" "+string(match[:min(len(match), 12)])+"…")
				break
			}
		}
	}
	return found
}

var expressions = sync.OnceValue(func() []*regexp.Regexp {
	var all []*regexp.Regexp
	for _, s := range secrets {
		all = append(all, regexp.MustCompile(s.pattern))
	}
	return all
})

func TestEverySecretIsRecognized(t *testing.T) {
	for _, s := range secrets {
		if found := leaks([]byte("before " + s.sample + "\nafter")); len(found) == 0 || !strings.HasPrefix(strings.Join(found, ", "), s.name) {
			t.Errorf("%s: %q is recognized as %q", s.name, s.sample, found)
		}
	}
}

// TestNoSecrets searches all committed files, with the templates in stacks/golden.
func TestNoSecrets(t *testing.T) {
	list := exec.Command("git", "ls-files", "-z")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Skip("what is committed cannot be told: ", err)
	}
	templates := 0
	for _, file := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
		file = filepath.Join(root, file)
		text := search(t, file)
		if matched, _ := filepath.Match(root+"/stacks/golden/*/*.json", file); matched && text != nil {
			templates++
			template(t, file, text)
		}
	}
	if templates == 0 {
		t.Error("no template was looked through")
	}
}

// TestNoSecretsInImages searches the content of the images.
func TestNoSecretsInImages(t *testing.T) {
	nightly.Test(t, "it searches the programs of all images")
	for _, dir := range serviceContexts(t) {
		err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				search(t, file)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// search searches a file, and returns its text, or nil where the file is deleted and not committed yet.
func search(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, leak := range leaks(text) {
		t.Errorf("%s has what looks like a secret: %s", file, leak)
	}
	return text
}

var telling = regexp.MustCompile(`(?i)secret|password|passwd|token|credential|private_?key|api_?key`)

// template refuses a secret without a form: a container's variable or a property
// with the name of a secret and a value in the template.
func template(t *testing.T, file string, text []byte) {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	var walk func(path string, value any)
	walk = func(path string, value any) {
		switch v := value.(type) {
		case []any:
			for _, element := range v {
				walk(path, element)
			}
		case map[string]any:
			if name, ok := v["Name"].(string); ok && v["Value"] != nil && telling.MatchString(name) {
				t.Errorf("%s: %s has the variable %s in plain text", file, path, name)
			}
			for key, member := range v {
				literal, ok := member.(string)
				// CredentialsParameter says where credentials are. SecretStringTemplate is what AWS adds a generated value to.
				where := key == "HttpTokens" || key == "CredentialsParameter" && strings.HasPrefix(literal, "arn:") ||
					key == "SecretStringTemplate" && !telling.MatchString(literal)
				if ok && literal != "" && (key == "SecretString" || telling.MatchString(key) && !where) {
					t.Errorf("%s: %s.%s is in plain text", file, path, key)
				}
				walk(path+"."+key, member)
			}
		}
	}
	walk("", value)
}

// serviceContexts are the build contexts of the images. They are at the CDK app's
// place, where what is up to date is not compiled again.
func serviceContexts(t *testing.T) map[string]string {
	t.Helper()
	options := build.Options{Root: root, Arch: "amd64"}
	for _, name := range []string{"api", "users", "threads", "posts"} {
		options.Services = append(options.Services, build.Service{Name: name, Dir: "services/" + name})
	}
	contexts, err := build.Build(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	return contexts
}

// TestNoSecretsInLogs runs the services with secrets in their environment and in
// requests, and reads their logs.
func TestNoSecretsInLogs(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the images' binaries are for linux/amd64")
	}
	secret := strings.Repeat("hunter2", 2)
	for service, dir := range serviceContexts(t) {
		t.Run(service, func(t *testing.T) {
			if service != "api" {
				nightly.Test(t, "it starts another service that logs with the same code")
			}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			_, port, _ := net.SplitHostPort(listener.Addr().String())
			listener.Close()
			cmd := exec.Command(filepath.Join(dir, service))
			cmd.Env = []string{"PORT=" + port, "STOP_TIMEOUT=1s", "LOG_LEVEL=debug", "AWS_SECRET_ACCESS_KEY=" + secret, "PASSWORD=" + secret}
			var log strings.Builder
			cmd.Stdout, cmd.Stderr = &log, &log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Process.Kill()
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			limit := time.After(20 * time.Second)
			for answered := 0; answered < 2; {
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					request, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:"+port+"/api/?token="+secret, strings.NewReader("password="+secret))
					if err != nil {
						t.Fatal(err)
					}
					request.Header.Set("Authorization", "Bearer "+secret)
					request.Header.Set("Cookie", "session="+secret)
					if response, err := http.DefaultClient.Do(request); err == nil {
						response.Body.Close()
						answered++
					}
				}
				select {
				case <-tick.C:
				case <-limit:
					t.Fatal("the service does not answer")
				}
			}
			cmd.Process.Signal(syscall.SIGTERM)
			if err := cmd.Wait(); err != nil {
				t.Errorf("the service ended with %v", err)
			}
			if !strings.Contains(log.String(), `"path":"/api/"`) {
				t.Errorf("the requests are not in the log:\n%s", log.String())
			}
			if strings.Contains(log.String(), secret) {
				t.Errorf("the log has the secret:\n%s", log.String())
			}
		})
	}
}
