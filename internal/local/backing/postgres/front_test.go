package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"cutover/internal/local/backing/programs"
	"cutover/internal/local/provider"
	"cutover/internal/nightly"
)

// server starts PostgreSQL for all tests, when the first one needs it.
var server = sync.OnceValues(func() (*programs.Program, error) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return nil, err
	}
	started = dir
	return programs.StartPostgreSQL(context.Background(), dir)
})

// started is the directory of the server's data; empty if no test needed one.
var started string

func TestMain(m *testing.M) {
	code := m.Run()
	if started != "" {
		if program, err := server(); err == nil {
			program.Kill()
		}
		_ = programs.Remove(started)
	}
	os.Exit(code)
}

// front is a front before the server, with the tasks users and threads. Their access keys are their names.
type front struct {
	*Front
	t       *testing.T
	mu      sync.Mutex
	refused []string
}

func startFront(t *testing.T) *front {
	t.Helper()
	if testing.Short() {
		t.Skip("slow: it starts PostgreSQL")
	}
	program, err := server()
	if err != nil {
		t.Fatal(err)
	}
	f := &front{t: t}
	f.Front, err = Start(Options{
		Administrator: func() string { return program.URL },
		ARN:           arn,
		IAM:           func() bool { return true },
		Signers: func(accessKey string) (Signer, bool) {
			may := func(action, resource string) bool {
				return action == "rds-db:connect" && (resource == arn(accessKey) || resource == arn("template1"))
			}
			return Signer{"secret of " + accessKey, "session of " + accessKey, may}, accessKey == "users" || accessKey == "threads"
		},
		Refused: func(user string, why error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.refused = append(f.refused, user+": "+why.Error())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func arn(user string) string { return provider.ARN("rds-db", "dbuser:cluster-X/"+user) }

// token signs as AWS's own package does.
func (f *front) token(task, user, host string) string {
	f.t.Helper()
	token, err := auth.BuildAuthToken(f.t.Context(), fmt.Sprintf("%s:%d", host, f.Port()), provider.Region, user,
		credentials.NewStaticCredentialsProvider(task, "secret of "+task, "session of "+task))
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

func (f *front) config(user, database, password string) *pgx.ConnConfig {
	f.t.Helper()
	config, err := pgx.ParseConfig(fmt.Sprintf("postgresql://%s@localhost:%d/%s?sslmode=verify-full", user, f.Port(), database))
	if err != nil {
		f.t.Fatal(err)
	}
	config.Password, config.TLSConfig.RootCAs = password, x509.NewCertPool()
	config.TLSConfig.RootCAs.AppendCertsFromPEM(f.Authority())
	return config
}

func (f *front) connect(user, database, password string) (*pgx.Conn, error) {
	f.t.Helper()
	conn, err := pgx.ConnectConfig(f.t.Context(), f.config(user, database, password))
	if err == nil {
		f.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	return conn, err
}

func (f *front) must(user string) *pgx.Conn {
	f.t.Helper()
	conn, err := f.connect(user, user, f.token(user, user, "localhost"))
	if err != nil {
		f.t.Fatal(err)
	}
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func code(err error) string {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return answer.Code
	}
	return fmt.Sprint(err)
}

// A service with a right token has a database of its own, in which it makes its tables, and reaches no other.
func TestOwnDatabase(t *testing.T) {
	f := startFront(t)
	for range 2 { // again without harm
		users := f.must("users")
		exec(t, users, `CREATE TABLE IF NOT EXISTS items (id int PRIMARY KEY)`)
		exec(t, users, `INSERT INTO items VALUES (1) ON CONFLICT DO NOTHING`)
	}
	threads := f.must("threads")
	if _, err := threads.Exec(t.Context(), `SELECT FROM items`); code(err) != "42P01" {
		t.Errorf("threads sees the table of users: %v", err)
	}
	for _, database := range []string{"users", "postgres", "template1"} {
		if _, err := f.connect("threads", database, f.token("threads", "threads", "localhost")); code(err) != "42501" {
			t.Errorf("threads connects to the database %s: %v", database, err)
		}
	}
	for _, sql := range []string{`DROP DATABASE threads`, `CREATE DATABASE other`, `CREATE ROLE other`, `DROP ROLE users`, `CREATE SCHEMA other`} {
		if _, err := threads.Exec(t.Context(), sql); code(err) != "42501" {
			t.Errorf("threads may %s: %v", sql, err)
		}
	}
	if n, faults := f.Seen(); n < 3 || faults != nil {
		t.Errorf("there are %d connections and the faults %v", n, faults)
	}
}

// Parameters of a connection reach the server, and what the server says of itself reaches the client.
func TestParameters(t *testing.T) {
	f := startFront(t)
	config := f.config("users", "users", f.token("users", "users", "127.0.0.1"))
	config.RuntimeParams["application_name"] = "probe"
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var name string
	if err := conn.QueryRow(t.Context(), `SHOW application_name`).Scan(&name); err != nil || name != "probe" {
		t.Errorf("the application's name is %q, %v", name, err)
	}
	if conn.PgConn().ParameterStatus("server_version") == "" {
		t.Error("the server's version is not told")
	}
}

// A connection is refused without TLS, to clients that do not know the authority, and without a right token.
// The client gets no reason; the user of this machine does.
func TestRefused(t *testing.T) {
	f := startFront(t)
	f.must("users")
	plain := f.config("users", "users", f.token("users", "users", "localhost"))
	plain.TLSConfig = nil
	if _, err := pgx.ConnectConfig(t.Context(), plain); code(err) != "28000" || !strings.Contains(err.Error(), "no encryption") {
		t.Errorf("without TLS: %v", err)
	}
	unknown := f.config("users", "users", f.token("users", "users", "localhost"))
	unknown.TLSConfig.RootCAs = x509.NewCertPool()
	var authority x509.UnknownAuthorityError
	if _, err := pgx.ConnectConfig(t.Context(), unknown); !errors.As(err, &authority) {
		t.Errorf("an unknown authority: %v", err)
	}
	for _, test := range []struct{ what, token, why string }{
		{"another user's token", f.token("users", "threads", "localhost"), `the token is for the user "threads"`},
		{"a task without the statement", f.token("threads", "users", "localhost"), "the task's role does not allow rds-db:connect on " + arn("users")},
		{"an unknown task", f.token("posts", "users", "localhost"), "no task has the access key posts"},
		{"another host", f.token("users", "users", "db.example"), "the token is for db.example"},
		{"a changed signature", strings.Replace(f.token("users", "users", "localhost"), "X-Amz-Signature=", "X-Amz-Signature=0", 1), "the signature of the token is wrong"},
		{"no signature", "localhost/?X-Amz-Signature=1", "the password is no token of IAM"},
	} {
		_, err := f.connect("users", "users", test.token)
		if code(err) != "28000" || !strings.Contains(err.Error(), `PAM authentication failed for user "users"`) || strings.Contains(err.Error(), test.why) {
			t.Errorf("%s: %v", test.what, err)
		}
		if last := f.refused[len(f.refused)-1]; !strings.Contains(last, "users: refused: "+test.why) {
			t.Errorf("%s: %s is told, want %s", test.what, last, test.why)
		}
	}
	// No password opens the server to a service, and a name that nobody may have makes no user.
	if _, err := f.connect("users", "users", "guess"); code(err) != "28P01" {
		t.Errorf("a password: %v", err)
	}
	if _, err := f.connect("template1", "template1", f.token("users", "template1", "localhost")); code(err) != "28000" {
		t.Errorf("a name that is taken: %v", err)
	}
}

// A query is canceled through a connection of its own.
func TestCancel(t *testing.T) {
	f := startFront(t)
	conn := f.must("users")
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), `SELECT pg_sleep(60)`)
		ended <- err
	}()
	for { // until the query runs
		if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if code(err) != "57014" {
				t.Errorf("the canceled query ended with %v", err)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Clients of PostgreSQL 17 may begin with TLS at once, and clients of 18 ask for a newer protocol.
func TestBeginnings(t *testing.T) {
	nightly.Test(t, "it begins a connection in each way that clients have")
	f := startFront(t)
	config := f.config("users", "users", f.token("users", "users", "localhost"))
	config.SSLNegotiation, config.TLSConfig.NextProtos = "direct", []string{"postgresql"}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatalf("with TLS at once: %v", err)
	}
	_ = conn.Close(t.Context())

	raw, err := net.Dial("tcp", fmt.Sprintf("localhost:%d", f.Port()))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	ask := func(conn net.Conn, message string, want string) {
		t.Helper()
		answer := make([]byte, len(want))
		if _, err := conn.Write([]byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != want {
			t.Fatalf("%q is answered with %q, %v; want %q", message, answer, err, want)
		}
	}
	ask(raw, "\x00\x00\x00\x08\x04\xd2\x16\x30", "N") // GSSAPI
	ask(raw, "\x00\x00\x00\x08\x04\xd2\x16\x2f", "S")
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(f.Authority())
	secure := tls.Client(raw, &tls.Config{ServerName: "load-balancer.internal", RootCAs: pool})
	startup := "\x00\x03\x00\x02user\x00users\x00_pq_.some\x00on\x00\x00"
	ask(secure, "\x00\x00\x00"+string(rune(len(startup)+4))+startup, "v\x00\x00\x00\x16\x00\x00\x00\x00\x00\x00\x00\x01_pq_.some\x00R\x00\x00\x00\x08\x00\x00\x00\x03")
}

// With commit-error every other write is there, although its client got no answer. Reads, writes of nothing and what is
// rolled back are answered.
func TestCommitError(t *testing.T) {
	nightly.Test(t, "it loses answers to commits")
	f := startFront(t)
	setup := f.must("users")
	exec(t, setup, `DROP TABLE IF EXISTS numbers; CREATE TABLE numbers (n int PRIMARY KEY)`)
	clear, err := f.Fault("commit-error", "users")
	if err != nil {
		t.Fatal(err)
	}
	others := f.must("threads")
	exec(t, others, `CREATE TABLE IF NOT EXISTS numbers (n int); INSERT INTO numbers VALUES (1)`)
	conn := f.must("users")
	exec(t, conn, `SELECT 1`)
	exec(t, conn, `UPDATE numbers SET n = 1 WHERE n = 0`)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Errorf("a transaction without a write: %v", err)
	}
	if tx, err = conn.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO numbers VALUES (1)`); err != nil {
		t.Errorf("a write before its commit: %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Errorf("what is rolled back: %v", err)
	}
	if _, err := conn.Exec(t.Context(), `INSERT INTO numbers VALUES (2); INSERT INTO numbers VALUES (2)`); code(err) != "23505" {
		t.Errorf("what the server rolls back: %v", err)
	}
	if _, err := conn.Exec(t.Context(), `INSERT INTO numbers VALUES (3)`); err == nil || !conn.IsClosed() {
		t.Errorf("a write by itself is answered: %v", err)
	}
	conn = f.must("users")
	exec(t, conn, `INSERT INTO numbers VALUES (0)`) // every other one
	if tx, err = conn.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO numbers VALUES ($1)`, 4); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err == nil || !conn.IsClosed() {
		t.Errorf("the commit is answered: %v", err)
	}
	clear()
	clear() // once more is nothing
	conn = f.must("users")
	exec(t, conn, `INSERT INTO numbers VALUES (5)`)
	var numbers []int
	if err := conn.QueryRow(t.Context(), `SELECT array_agg(n ORDER BY n) FROM numbers`).Scan(&numbers); err != nil || fmt.Sprint(numbers) != "[0 3 4 5]" {
		t.Errorf("the numbers are %v, %v", numbers, err)
	}
}

// lingering is a connection whose writes return late, as on a busy machine. The other side has answered by then.
type lingering struct{ net.Conn }

func (l lingering) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	time.Sleep(100 * time.Millisecond) // pgconn waits for 15 ms before it reads in the background
	return n, err
}

// However slow the login to the server was, no answer after it is lost.
func TestSlowLogin(t *testing.T) {
	nightly.Test(t, "it waits for a login that takes too long")
	f := startFront(t)
	f.must("users") // is set up
	f.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return lingering{conn}, err
	}
	conn := f.must("users")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := conn.Exec(ctx, `SELECT 1`); err != nil {
		t.Error(err)
	}
}

// In a partition a user's connections wait, the old ones and new ones, and go on after it. Others do not
// notice.
func TestPartition(t *testing.T) {
	nightly.Test(t, "it waits for answers that do not come")
	f := startFront(t)
	old, others := f.must("users"), f.must("threads")
	clear, err := f.Fault("partition", "users")
	if err != nil {
		t.Fatal(err)
	}
	if _, faults := f.Seen(); fmt.Sprint(faults) != "[partition of users]" {
		t.Errorf("the faults are %v", faults)
	}
	if _, err := f.Fault("store-slow", "users"); err == nil || !strings.Contains(err.Error(), "the store of users has the fault partition already") {
		t.Errorf("a second fault: %v", err)
	}
	type result struct {
		what string
		err  error
	}
	ended := make(chan result, 2)
	token := f.token("users", "users", "localhost")
	go func() { _, err := old.Exec(t.Context(), `SELECT 1`); ended <- result{"a query", err} }()
	go func() {
		conn, err := pgx.ConnectConfig(t.Context(), f.config("users", "users", token))
		if err == nil {
			_ = conn.Close(t.Context())
		}
		ended <- result{"a new connection", err}
	}()
	impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := pgx.ConnectConfig(impatient, f.config("users", "users", token)); err == nil {
		t.Error("a connection is made in a partition")
	}
	exec(t, others, `SELECT 1`)
	select {
	case r := <-ended:
		t.Errorf("%s ended in the partition: %v", r.what, r.err)
	default:
	}
	clear()
	for range 2 {
		if r := <-ended; r.err != nil {
			t.Errorf("%s after the partition: %v", r.what, r.err)
		}
	}
}

// A store that is throttled has no connection left, not even those that were there.
func TestThrottle(t *testing.T) {
	f := startFront(t)
	old, others := f.must("users"), f.must("threads")
	clear, err := f.Fault("throttle", "users")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Exec(t.Context(), `SELECT 1`); err == nil {
		t.Error("the old connection goes on")
	}
	if _, err := f.connect("users", "users", f.token("users", "users", "localhost")); code(err) != "53300" {
		t.Errorf("a new connection: %v", err)
	}
	exec(t, others, `SELECT 1`)
	clear()
	f.must("users")
	if _, err := f.Fault("oom", "users"); err == nil || !strings.Contains(err.Error(), `no fault "oom"`) {
		t.Errorf("an unknown fault: %v", err)
	}
}

// A slow store answers late.
func TestSlow(t *testing.T) {
	f := startFront(t)
	conn := f.must("users")
	clear, err := f.Fault("store-slow", "users")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	exec(t, conn, `SELECT 1`)
	if took := time.Since(begin); took < SlowBy {
		t.Errorf("a query took %v", took)
	}
	clear()
}

// A failover ends all connections, and new ones are made after it.
func TestCut(t *testing.T) {
	f := startFront(t)
	conn := f.must("users")
	f.Cut()
	if _, err := conn.Exec(t.Context(), `SELECT 1`); err == nil {
		t.Error("the connection goes on")
	}
	f.must("users")
}

// A token holds for a time, and for one region.
func TestTokenTimes(t *testing.T) {
	signers := func(string) (Signer, bool) {
		return Signer{"secret", "", func(string, string) bool { return true }}, true
	}
	sign := func(region string) string {
		token, err := auth.BuildAuthToken(t.Context(), "localhost:1", region, "users", aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret"}, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	now, token := time.Now(), sign(provider.Region)
	for _, test := range []struct {
		token string
		at    time.Duration
		want  string
	}{
		{token, 0, ""},
		{token, 15*time.Minute - 2*time.Second, ""},
		{token, 15 * time.Minute, "the token is older than 15m0s"},
		{strings.Replace(token, "X-Amz-Expires=900", "X-Amz-Expires=60", 1), time.Minute, "the token is older than 1m0s"},
		{strings.Replace(token, "X-Amz-Expires=900", "X-Amz-Expires=90000", 1), 16 * time.Minute, "the token is older than 15m0s"},
		{strings.Replace(token, "X-Amz-Expires=900", "X-Amz-Expires=901", 1), 0, "the signature of the token is wrong"},
		{token, -5*time.Minute + 2*time.Second, ""},
		{token, -5*time.Minute - 2*time.Second, "the token was signed in the future"},
		{strings.Replace(token, "Action=connect", "Action=other", 1), 0, `the token is for the action "other", and not for connect`},
		{strings.Replace(token, "X-Amz-Date=2", "X-Amz-Date=x", 1), 0, "the token does not say when it was signed, and for how long"},
		{sign("us-east-1"), 0, ""},
		{strings.Replace(token, provider.Region+"%2Frds-db", "us-east-1%2Frds-db", 1), 0, "the signature of the token is wrong"},
		{strings.Replace(token, "rds-db", "rds", 1), 0, "the token is signed for rds, and not for rds-db"},
		{token + "&X-Amz-Security-Token=other", 0, "the token has another session token than the task"},
		{"", 0, "the password is no token of IAM"},
		{"%zz?X-Amz-Signature=", 0, "the password is no token of IAM"},
	} {
		err := verify(test.token, "users", "arn", []string{"localhost:1"}, signers, now.Add(test.at))
		if got := fmt.Sprint(err); got != test.want && (err != nil || test.want != "") {
			t.Errorf("%s after %v: %v, want %s", test.token, test.at, err, test.want)
		}
	}
}
