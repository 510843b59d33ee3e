package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"cutover/services/internal/otlp"
)

// config is the configuration of a service. It comes from environment variables only.
type config struct {
	// host is the address to listen on; empty for all addresses of the machine.
	host        string
	port        int
	stopTimeout time.Duration
	logLevel    slog.Level
	// The destinations of telemetry; nil sends nothing. OpenTelemetry's SDK reads its other
	// variables.
	traces, metrics *otlp.Endpoint
}

const (
	// The port of the original and of every task definition.
	defaultPort = 3000
	// Less than the 30 s after which ECS kills a stopping container.
	defaultStopTimeout = 25 * time.Second
	minStopTimeout     = time.Second
	// The longest stop timeout of ECS, on Fargate.
	maxStopTimeout = 120 * time.Second
)

// usage is the text of --help. %[1]s is the service's name.
const usage = `Usage:
  %[1]s              serve HTTP until SIGTERM
  %[1]s healthcheck  ask the service on this machine's PORT if it is ready: exit code 0 or 1
  %[1]s seed         write the first records to a store that never had any
  %[1]s COMMAND      do one of the following, if the service's variables say so:
                       relay      publish what changes in a database, until SIGTERM
                       consume    take events from the queue, until SIGTERM
                       work       do the jobs in the queue of work, until SIGTERM
                       republish  publish every record as it is
                       rebuild    build what is made of events anew
                       show       print what is made of events
                       replay     compare the records with their history
                       history ID show who changed a record, and when
                       forget ID  erase what the history says of a deleted record
  %[1]s --version    print what this program was built from
  %[1]s --help       print this text

Environment:
  HOST          IP address to listen on (default all of the machine)
  PORT          port to listen on, 0 to 65535; 0 takes any free port and logs
                which one (default 3000)
  STOP_TIMEOUT  how long a stop may take before requests are cut off, 1s to 120s;
                must be shorter than the container's stop timeout (default 25s)
  LOG_LEVEL     least severe lines to log: debug, info, warn or error; requests
                are logged at info (default info)
  ANSWERED_BY   name to send in each answer, in the header X-Answered-By (default
                none, and then there is no such header)
  OTEL_EXPORTER_OTLP_ENDPOINT
                OpenTelemetry collector to send traces and metrics to, such as
                http://collector:4318, over http/protobuf (default none, and
                then nothing is measured); most other variables of OpenTelemetry
                hold as well, such as OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME and
                OTEL_RESOURCE_ATTRIBUTES
`

var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// answeredBy is the variable with the name that each answer has in the header X-Answered-By.
const answeredBy = "ANSWERED_BY"

var answeredByFormat = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// readConfig reads the environment. An empty variable is like an unset one. The error lists every
// invalid variable.
func readConfig(getenv func(string) string) (config, error) {
	c := config{port: defaultPort, stopTimeout: defaultStopTimeout, logLevel: slog.LevelInfo}
	var errs []error
	refuse := func(name, want string) {
		errs = append(errs, fmt.Errorf("%s=%q: must be %s", name, getenv(name), want))
	}
	if s := getenv("HOST"); s != "" {
		if net.ParseIP(s) == nil {
			refuse("HOST", "an IP address, such as 127.0.0.1")
		}
		c.host = s
	}
	if s := getenv("PORT"); s != "" {
		port, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			refuse("PORT", "a number from 0 to 65535, 0 for any free port")
		}
		c.port = int(port)
	}
	if s := getenv("STOP_TIMEOUT"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d < minStopTimeout || d > maxStopTimeout {
			refuse("STOP_TIMEOUT", "a duration from 1s to 120s, such as 25s")
		}
		c.stopTimeout = d
	}
	if s := getenv("LOG_LEVEL"); s != "" {
		level, ok := levels[strings.ToLower(s)]
		if !ok {
			refuse("LOG_LEVEL", "debug, info, warn or error")
		}
		c.logLevel = level
	}
	if s := getenv(answeredBy); s != "" && !answeredByFormat.MatchString(s) {
		refuse(answeredBy, "a name of letters, digits and hyphens")
	}
	var err error
	if c.traces, c.metrics, err = otlp.FromEnvironment(getenv); err != nil {
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}
