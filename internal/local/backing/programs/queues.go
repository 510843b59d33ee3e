package programs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"cutover/internal/child"
)

// fauxqs is what stands for SQS and SNS: npm's manifest and lockfile, which name the version and the checksum of the
// program and of all that it needs, and the script that starts the program.
//
//go:embed fauxqs
var fauxqs embed.FS

// fauxqsVersion is that in the manifest.
const fauxqsVersion = "fauxqs@2.4.1"

// minNode is the oldest Node.js that runs fauxqs, which needs node:sqlite.
var minNode = [2]int{22, 5}

// FindQueues finds fauxqs, which stands for SQS and SNS, and a Node.js that runs it: that on PATH, or else that in the
// node_modules of the working directory or of one above.
func FindQueues(ctx context.Context) (Found, error) {
	node, err := findNode(ctx)
	if err != nil {
		return Found{}, fmt.Errorf("fauxqs, which stands for SQS and SNS, needs Node.js %d.%d or later: %w. Install Node.js, or run npm ci", minNode[0], minNode[1], err)
	}
	dir, err := fetchFauxqs(ctx)
	if err != nil {
		return Found{}, fmt.Errorf("fauxqs, which stands for SQS and SNS, is missing: %w", err)
	}
	return Found{"fauxqs", fauxqsVersion, func(_ context.Context, data string, port int) (launch, error) {
		cmd := exec.Command(node, "--disable-warning=ExperimentalWarning", filepath.Join(dir, "start.js"), data, strconv.Itoa(port))
		cmd.Dir = dir
		cmd.SysProcAttr = child.Attributes(syscall.SIGTERM)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		return launch{cmd, "http://" + address, func() bool { return answers(address) }, syscall.SIGTERM}, nil
	}}, nil
}

// StartQueues finds and starts fauxqs with all data in a directory. Any credentials will do. ARNs have the region of
// a request's signature.
func StartQueues(ctx context.Context, dir string) (*Program, error) {
	found, err := FindQueues(ctx)
	if err != nil {
		return nil, err
	}
	return found.Start(ctx, dir)
}

// findNode returns the first Node.js that is new enough.
func findNode(ctx context.Context) (string, error) {
	var all, old []string
	if node, err := exec.LookPath("node"); err == nil {
		all = append(all, node)
	}
	for dir, err := filepath.Abs("."); err == nil; dir = filepath.Dir(dir) {
		all = append(all, filepath.Join(dir, "node_modules", "node", "bin", "node"))
		if dir == filepath.Dir(dir) {
			break
		}
	}
	for _, node := range all {
		if !exists(node) {
			continue
		}
		if err := newEnough(ctx, node); err == nil {
			return node, nil
		} else {
			old = append(old, err.Error())
		}
	}
	if len(old) == 0 {
		return "", errors.New("node is not there")
	}
	return "", errors.New(strings.Join(old, ", and "))
}

func newEnough(ctx context.Context, node string) error {
	out, err := exec.CommandContext(ctx, node, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", node, err)
	}
	var version [2]int
	if _, err := fmt.Sscanf(string(out), "v%d.%d.", &version[0], &version[1]); err != nil {
		return fmt.Errorf("%s does not say its version", node)
	}
	if cmp.Or(cmp.Compare(version[0], minNode[0]), cmp.Compare(version[1], minNode[1])) < 0 {
		return fmt.Errorf("%s is Node.js %s", node, strings.TrimSpace(strings.TrimPrefix(string(out), "v")))
	}
	return nil
}

// fetchFauxqs returns the directory of fauxqs, and lets npm install it if it is not there yet. No script of a package
// runs. The directory's name has the checksum of what is embedded here: another lockfile is another directory.
func fetchFauxqs(ctx context.Context) (string, error) {
	sum := sha256.New()
	files := map[string][]byte{}
	for _, name := range []string{"package.json", "package-lock.json", "start.js"} {
		var err error
		if files[name], err = fs.ReadFile(fauxqs, "fauxqs/"+name); err != nil {
			return "", err
		}
		sum.Write(files[name])
	}
	dir := fmt.Sprintf("%s-%x", strings.ReplaceAll(fauxqsVersion, "@", "-"), sum.Sum(nil)[:4])
	return install(dir, fauxqsVersion, func(npm, tmp string) (string, error) {
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(tmp, name), content, 0o644); err != nil {
				return "", err
			}
		}
		cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
		cmd.Dir = tmp
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("npm ci of %s: %w\n%s", fauxqsVersion, err, bytes.TrimSpace(out))
		}
		return tmp, nil
	})
}
