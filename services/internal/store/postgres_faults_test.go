package store

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

const password = "secret"

// authority makes a certificate authority in a file, and certificates for hosts.
type authority struct {
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "roots & more.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return authority{file, cert, key}
}

func (a authority) certificate(t *testing.T, host string) *tls.Certificate {
	t.Helper()
	cert := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{host}, NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter}
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
}

// gate is a server that asks for TLS and a password, and then turns everybody away. It hands out the
// passwords. Without a certificate, it has no TLS.
func gate(t *testing.T, certificate *tls.Certificate) (port string, passwords chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	passwords = make(chan string, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				client := pgproto3.NewBackend(conn, conn)
				if m, err := client.ReceiveStartupMessage(); err != nil {
					return
				} else if _, ok := m.(*pgproto3.SSLRequest); ok {
					if certificate == nil {
						_, _ = conn.Write([]byte("N"))
					} else {
						_, _ = conn.Write([]byte("S"))
						conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12})
					}
					client = pgproto3.NewBackend(conn, conn)
					if _, err := client.ReceiveStartupMessage(); err != nil {
						return
					}
				}
				client.Send(&pgproto3.AuthenticationCleartextPassword{})
				if client.Flush() != nil || client.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
					return
				}
				m, err := client.Receive()
				if password, ok := m.(*pgproto3.PasswordMessage); err == nil && ok {
					passwords <- password.Password
				}
				client.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "28P01", Message: "turned away"})
				_ = client.Flush()
			}()
		}
	}()
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port, passwords
}

// A token goes only to a server whose certificate is of a known authority and has the server's name.
func TestPostgreSQLIdentity(t *testing.T) {
	known, other := newAuthority(t), newAuthority(t)
	for name, test := range map[string]struct {
		certificate *tls.Certificate
		want        string
	}{
		"right":           {known.certificate(t, "localhost"), "turned away"},
		"other authority": {other.certificate(t, "localhost"), "signed by unknown authority"},
		"other name":      {known.certificate(t, "elsewhere"), "not localhost"},
		"no TLS":          {nil, ""}, // tried again
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port, passwords := gate(t, test.certificate)
			s, err := newPostgreSQL("users", "postgresql://users@localhost:"+port+"/users?sslmode=verify-full", env(map[string]string{
				"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIDKEY", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "session", "PGSSLROOTCERT": known.file,
			}))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			for range 2 { // each connection has a token of its own
				if _, err := s.Get(ctx, Key{"l", "a"}); err == nil || test.want != "" && (!strings.Contains(err.Error(), test.want) || errors.Is(err, ErrBusy)) {
					t.Error(err)
				}
				if name != "right" {
					break
				}
				password := <-passwords
				token, err := url.Parse("https://" + password)
				if err != nil {
					t.Fatal(err)
				}
				q := token.Query()
				at, err := time.Parse("20060102T150405Z", q.Get("X-Amz-Date"))
				if err != nil || time.Since(at) > time.Minute || token.Host != "localhost:"+port || q.Get("Action") != "connect" || q.Get("DBUser") != "users" ||
					q.Get("X-Amz-Expires") != "900" || q.Get("X-Amz-Security-Token") != "session" || !strings.HasPrefix(q.Get("X-Amz-Credential"), "AKIDKEY/") ||
					!strings.HasSuffix(q.Get("X-Amz-Credential"), "/eu-central-1/rds-db/aws4_request") {
					t.Error(password, err)
				}
			}
			if len(passwords) > 0 {
				t.Error("a server that proves nothing got", <-passwords)
			}
		})
	}
}

// A password in the URL is the one that is sent, also without TLS.
func TestPostgreSQLPassword(t *testing.T) {
	port, passwords := gate(t, nil)
	s, err := newPostgreSQL("users", "postgres://users:"+password+"@127.0.0.1:"+port+"/users?sslmode=disable", env(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	begin := time.Now()
	if _, err := s.Get(t.Context(), Key{"l", "a"}); err == nil || errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "turned away") {
		t.Error(err)
	}
	if sent := <-passwords; sent != password || len(passwords) > 0 {
		t.Error(sent, len(passwords), time.Since(begin))
	}
}

// A database that is not there, or does not answer, is busy: nothing was changed.
func TestPostgreSQLNotReached(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // as a paused database, which accepts and is silent
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	for _, address := range []string{silent.Addr().String(), gone.Addr().String()} {
		s, err := newPostgreSQL("users", "postgres://users:"+password+"@"+address+"/users?sslmode=disable&connect_timeout=1", env(nil))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := s.Write(ctx, Change{Item: Item{Key: Key{"l", "a"}}}); !errors.Is(err, ErrBusy) {
			t.Error(address, err)
		}
		cancel()
		_ = silent.Close() // so that the connection in the background ends
		_ = s.Close()
	}
}

// cutting is a proxy in front of PostgreSQL that ends a connection at a message of the client: before the
// server has it, or when the server has answered.
type cutting struct {
	address string
	cuts    chan cut
}

type cut struct {
	at    []byte // the bytes in a message of the client
	after bool   // the server gets the message, and the client no answer
}

func newCutting(t *testing.T, to string) *cutting {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	c := &cutting{listener.Addr().String(), make(chan cut, 1)}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				return
			}
			answers, answered := make(chan bool, 1), make(chan struct{}, 100)
			answers <- true
			go func() { // to the client, unless its answers are kept
				buffer := make([]byte, 1<<16)
				for {
					n, err := server.Read(buffer)
					if err != nil {
						_ = client.Close()
						return
					}
					pass := <-answers
					answers <- pass
					if pass {
						_, _ = client.Write(buffer[:n])
					} else {
						answered <- struct{}{}
					}
				}
			}()
			go c.forward(client, server, answers, answered)
		}
	}()
	return c
}

func (c *cutting) forward(client, server net.Conn, answers chan bool, answered chan struct{}) {
	defer func() { _, _ = client.Close(), server.Close() }()
	buffer := make([]byte, 1<<16)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		select {
		case next := <-c.cuts:
			if !bytes.Contains(buffer[:n], next.at) {
				c.cuts <- next
				break
			}
			if next.after {
				<-answers
				answers <- false
				_, _ = server.Write(buffer[:n])
				<-answered
			}
			return
		default:
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// What is lost before the commit is done again. If the answer to the commit is lost, nobody knows.
func testLostAnswers(t *testing.T, address string) {
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := newCutting(t, u.Host)
	u.Host = proxy.address
	s, err := newPostgreSQL("users", u.String(), env(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	direct, err := newPostgreSQL("users", address, env(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = direct.Close() }()
	for name, test := range map[string]struct {
		at    string
		after bool
		two   bool
		done  bool // whether the write is done in the end
		err   bool
	}{
		"two, before the statements":   {"BODY", false, true, true, false},
		"two, after the statements":    {"BODY", true, true, true, false},
		"two, before the commit":       {"commit\x00", false, true, false, true},
		"two, after the commit":        {"commit\x00", true, true, true, true},
		"one, before the statement":    {"BODY", false, false, false, true},
		"one, after the statement":     {"BODY", true, false, true, true},
		"a read, before the statement": {"a read", false, false, true, false},
		"a read, after the statement":  {"a read", true, false, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			list := "lost answers: " + strings.ReplaceAll(name, "commit", "end")
			change := func(id, body string, expected int64) Change {
				return Change{Item: Item{Key: Key{list, id}, Body: []byte(body)}, Expected: expected}
			}
			prepared := []Change{change("a", "first", 0), change("b", "first", 0)} // so that the statements are known to the connection
			if err := s.Write(t.Context(), prepared...); err != nil {
				t.Fatal(err)
			}
			proxy.cuts <- cut{[]byte(test.at), test.after}
			if strings.HasPrefix(name, "a read") {
				if items, err := s.List(t.Context(), list, "", 0); err != nil || len(items) != 2 || len(proxy.cuts) > 0 {
					t.Error(items, err, len(proxy.cuts))
				}
				return
			}
			changes := []Change{change("a", "BODY", 1)}
			if test.two {
				changes = append(changes, change("b", "BODY", 1))
			}
			err := s.Write(t.Context(), changes...)
			if (err != nil) != test.err || errors.Is(err, ErrBusy) || errors.As(err, new(*Conflict)) {
				t.Error(err)
			}
			items, err := direct.Get(t.Context(), Key{list, "a"}, Key{list, "b"})
			if err != nil || (items[0].Version == 2) != test.done || (items[1].Version == 2) != (test.done && test.two) {
				t.Error(items, err)
			}
			if len(proxy.cuts) > 0 {
				t.Error("nothing was cut")
			}
		})
	}
}

// Expired items are removed after a write, once a minute, and no others.
func testPurge(t *testing.T, address string) {
	s, err := newPostgreSQL("users", address, env(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	s.purged.Store(time.Now().Unix()) // not yet
	old, later, never := Key{"purge", "old"}, Key{"purge", "later"}, Key{"purge", "never"}
	expired := Change{Item: Item{Key: old, Expires: time.Now().Add(-time.Minute)}}
	err = s.Write(t.Context(), expired, Change{Item: Item{Key: later, Expires: time.Now().Add(time.Hour)}}, Change{Item: Item{Key: never}})
	if err != nil {
		t.Fatal(err)
	}
	there := func(k Key) bool {
		items, err := s.Get(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		return items[0].Version > 0
	}
	write := func() {
		if err := s.Write(t.Context(), Change{Item: Item{Key: Key{"purge", rand.Text()}}}); err != nil {
			t.Fatal(err)
		}
	}
	s.purged.Store(time.Now().Unix() - 58)
	if write(); !there(old) {
		t.Error("removed before a minute was over")
	}
	s.purged.Store(time.Now().Unix() - 61)
	for write(); there(old); { // the removal runs beside
	}
	if !there(later) || !there(never) || time.Now().Unix()-s.purged.Load() > 30 {
		t.Error("removed", there(later), there(never), s.purged.Load())
	}
}

// Several processes make the schema at once, and also where a later version made it with more in it.
func testSchema(t *testing.T, address string) {
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			s, err := newPostgreSQL("users", address, env(nil))
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = s.Close() }()
			if _, err := s.Get(t.Context(), Key{"l", "a"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s, err := newPostgreSQL("users", address, env(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := s.pool.Exec(t.Context(), "alter table items add column later text"); err != nil {
		t.Fatal(err)
	}
	tx, err := s.pool.Begin(t.Context()) // a writer, for whom no start may wait
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), "insert into items (list, id, ver, seq, place) values ('schema', 'b', 1, 1, 'here')"); err != nil {
		t.Fatal(err)
	}
	older, err := newPostgreSQL("users", address, env(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = older.Close() }()
	if err := older.Write(t.Context(), Change{Item: Item{Key: Key{"schema", "a"}, Body: []byte("x")}}); err != nil {
		t.Error(err)
	}
	if items, err := older.List(t.Context(), "schema", "", 0); err != nil || len(items) != 1 || string(items[0].Body) != "x" {
		t.Error(items, err)
	}
	var name, level, idle, statement string
	row := s.pool.QueryRow(t.Context(), `select current_setting('application_name'), current_setting('transaction_isolation'),
		current_setting('idle_in_transaction_session_timeout'), current_setting('statement_timeout')`)
	if err := row.Scan(&name, &level, &idle, &statement); err != nil || name != "users" || level != "read committed" || idle != "8s" || statement != "8s" {
		t.Error(name, level, idle, statement, err)
	}
	if c := s.pool.Config(); c.MaxConns != 4 || c.MinConns != 0 || c.MinIdleConns != 0 || c.MaxConnIdleTime > time.Minute || c.HealthCheckPeriod > 30*time.Second || c.ConnConfig.ConnectTimeout < 15*time.Second || c.ConnConfig.ValidateConnect == nil {
		t.Error("connections are open too long for Aurora to pause, or are given up before it resumes")
	}
}
