package local

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"cutover/internal/local/ecs"
)

// logFile is the file with everything that a deployment's containers wrote, and with what this program
// warns of their tasks and tells of their calls. Each line is an [ecs.LogLine] in JSON.
func logFile(dir string) string { return filepath.Join(dir, "logs.ndjson") }

func (r *Runner) log(line ecs.LogLine) {
	if text, err := json.Marshal(line); err == nil {
		r.logs.Write(append(text, '\n')) // one call a line, so that lines stay whole
	}
}

// Logs calls f with every line that the containers of a service wrote; of all services if the
// service is "". With follow, Logs waits for further lines until the context ends.
func Logs(ctx context.Context, dir, service string, follow bool, f func(ecs.LogLine)) error {
	file, err := os.Open(logFile(dir))
	if err != nil {
		return fmt.Errorf("there are no logs: %w; start a deployment with `cutover up`", err)
	}
	defer file.Close()
	reader := bufio.NewReader(file)
	var rest string // of a line that is not complete yet
	for {
		text, err := reader.ReadString('\n')
		rest += text
		if err == nil {
			var line ecs.LogLine
			if json.Unmarshal([]byte(rest), &line) == nil && (service == "" || line.ServiceName == service) {
				f(line)
			}
			rest = ""
			continue
		}
		if err != io.EOF {
			return err
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}
