package programs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cutover/internal/child"
)

// debianRabbitMQ is where Debian has RabbitMQ's script. The one on PATH is for root and the user rabbitmq alone.
const debianRabbitMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// FindRabbitMQ finds RabbitMQ and Erlang, on PATH or where Debian has it. When it first starts in a directory it makes a user, who may
// do everything; there is no user guest. The program answers AMQP 0-9-1 without TLS at its Address. Its URL is that of the management
// API, with the user and the password.
func FindRabbitMQ(user, password string) (Found, error) {
	const install = "Install RabbitMQ, on Debian and Ubuntu with: apt-get install rabbitmq-server"
	if _, err := exec.LookPath("erl"); err != nil {
		return Found{}, errors.New("RabbitMQ is missing: erl, of Erlang, is not on PATH. " + install)
	}
	script := debianRabbitMQ
	if !exists(script) {
		found, err := exec.LookPath("rabbitmq-server")
		if err != nil {
			return Found{}, errors.New("RabbitMQ is missing: rabbitmq-server is not on PATH. " + install)
		}
		script = found
	}
	name := "RabbitMQ"
	if real, err := filepath.EvalSymlinks(script); err == nil {
		if plugins, _ := filepath.Glob(filepath.Join(filepath.Dir(real), "..", "plugins", "rabbit-*")); len(plugins) == 1 {
			name += strings.TrimSuffix(strings.Replace(filepath.Base(plugins[0]), "rabbit-", " ", 1), ".ez")
		}
	}
	return Found{name, script, func(_ context.Context, dir string, port int) (launch, error) {
		return rabbitMQ(script, dir, port, user, password)
	}}, nil
}

func rabbitMQ(script, dir string, port int, user, password string) (launch, error) {
	management, err := freePort()
	if err != nil {
		return launch{}, err
	}
	distribution, err := freePort()
	if err != nil {
		return launch{}, err
	}
	// Bytes need no quotes.
	term := func(text string) string {
		var bytes []string
		for _, b := range []byte(text) {
			bytes = append(bytes, strconv.Itoa(int(b)))
		}
		return "<<" + strings.Join(bytes, ",") + ">>"
	}
	config := fmt.Sprintf(`[{rabbit, [{tcp_listeners, [{"127.0.0.1", %d}]}, {default_user, %s}, {default_pass, %s},
  {log, [{console, [{enabled, true}, {level, warning}]}, {file, [{file, false}]}]}]},
 {rabbitmq_management, [{tcp_config, [{ip, "127.0.0.1"}, {port, %d}]}]}].
`, port, term(user), term(password), management)
	for name, text := range map[string]string{"advanced.config": config, "plugins": "[rabbitmq_management].\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return launch{}, err
		}
	}
	cmd := exec.Command(script)
	cmd.Dir = dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "RABBITMQ_") || strings.HasPrefix(v, "ERL_") })
	// Nodes find each other by epmd, a daemon that would outlive the node. A node with a port of its own for that needs none. Its cookie
	// is in HOME.
	// https://www.erlang.org/doc/apps/erts/erl_cmd.html
	cmd.Env = append(cmd.Env,
		"HOME="+dir, "RABBITMQ_BASE="+dir, "RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "data"), "RABBITMQ_LOG_BASE="+filepath.Join(dir, "logs"),
		"RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "none"), "RABBITMQ_CONF_ENV_FILE="+os.DevNull, "RABBITMQ_ADVANCED_CONFIG_FILE="+filepath.Join(dir, "advanced.config"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "plugins"), "RABBITMQ_PID_FILE="+filepath.Join(dir, "pid"),
		"RABBITMQ_NODENAME=cutover@localhost", fmt.Sprintf("RABBITMQ_DIST_PORT=%d", distribution),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-sname cutover@localhost -kernel inet_dist_use_interface {127,0,0,1}",
		fmt.Sprintf("ERL_FLAGS=-start_epmd false -erl_epmd_port %d", distribution), "ERL_CRASH_DUMP_SECONDS=0",
		"RUNNING_UNDER_SYSTEMD=true", // then the script becomes the program
	)
	cmd.SysProcAttr = child.Attributes(syscall.SIGTERM)
	api := url.URL{Scheme: "http", User: url.UserPassword(user, password), Host: fmt.Sprintf("127.0.0.1:%d", management)}
	return launch{cmd, api.String(), func() bool { return listens(api.String(), port) }, syscall.SIGTERM}, nil
}

// listens asks the management API whether the program itself takes connections at a port.
// https://www.rabbitmq.com/docs/monitoring#health-checks
func listens(api string, port int) bool {
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Get(fmt.Sprintf("%s/api/health/checks/port-listener/%d", api, port))
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}
