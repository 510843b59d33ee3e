package programs_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"cutover/internal/local/backing/programs"
	"cutover/internal/local/backing/programs/programstest"
	"cutover/internal/nightly"
)

// RabbitMQ starts with one user, and keeps durable messages over a crash. Nobody else logs in, and nothing runs when it has ended.
func TestRabbitMQ(t *testing.T) {
	nightly.Test(t, "it starts RabbitMQ twice")
	t.Parallel()
	const password = `"<secret>\#,:`
	found, err := programs.FindRabbitMQ("cutover", password)
	programstest.Need(t, err)
	if !strings.HasPrefix(found.Name, "RabbitMQ ") {
		t.Errorf("its name is %q, without a version", found.Name)
	}
	dir := t.TempDir()
	dial := func(p *programs.Program, user, password string) (*amqp.Connection, error) {
		return amqp.DialConfig("amqp://"+p.Address, amqp.Config{SASL: []amqp.Authentication{&amqp.PlainAuth{Username: user, Password: password}}})
	}
	for i, end := range []func(*programs.Program){(*programs.Program).Kill, func(p *programs.Program) {
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}} {
		p, err := found.Start(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Kill)
		c, err := dial(p, "cutover", password)
		if err != nil {
			t.Fatal(err)
		}
		channel, err := c.Channel()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if _, err = channel.QueueDeclare("kept", true, false, false, false, nil); err == nil {
				err = channel.Confirm(false)
			}
			confirmed, failed := channel.PublishWithDeferredConfirm("", "kept", false, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("text")})
			if err != nil || failed != nil || !confirmed.Wait() {
				t.Fatal(err, failed)
			}
		} else if m, ok, err := channel.Get("kept", true); err != nil || !ok || string(m.Body) != "text" {
			t.Errorf("after the crash: %q, %t, %v", m.Body, ok, err)
		}
		for user, password := range map[string]string{"guest": "guest", "cutover": "other"} {
			if c, err := dial(p, user, password); err == nil {
				_ = c.Close()
				t.Errorf("%s logs in with the password %s", user, password)
			}
		}
		response, err := http.Get(p.URL + "/api/whoami")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("the management API answers %s", response.Status)
		}
		end(p)
	}
	if info, err := os.Stat(filepath.Join(dir, "advanced.config")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the password: %v, %v", info, err)
	}
	if err := programs.Remove(dir); err != nil {
		t.Error(err)
	}
}
