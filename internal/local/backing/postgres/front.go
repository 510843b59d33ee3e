// Package postgres lets a PostgreSQL server on this machine answer as an Aurora PostgreSQL cluster does: with
// TLS only, and to tokens of IAM. A [Front] stands before the server. The server itself is in package
// programs.
package postgres

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"cutover/internal/database"
)

// Hosts are the names at which tasks find a front: processes, and containers of Docker, which have a name
// for what listens on this machine.
var Hosts = []string{"localhost", "127.0.0.1", "::1", "load-balancer.internal"}

// Options says what a front stands for.
type Options struct {
	// Port is where the front listens if no other program does. Otherwise it listens on a free port.
	Port int
	// Administrator is the URL of the server, with the superuser and the password. A server that is started
	// again may have another one.
	Administrator func() string
	// IAM says whether the cluster takes tokens of IAM.
	IAM func() bool
	// ARN is the ARN of a user of the cluster, in the form that statements of roles have.
	ARN func(user string) string
	// Signers finds the tasks by their access keys.
	Signers Signers
	// Refused is called with each connection that is refused. The client gets no reason, as on AWS.
	Refused func(user string, why error)
}

// Front answers as a cluster does. Its methods may be called by several goroutines.
type Front struct {
	options   Options
	listener  net.Listener
	tls       *tls.Config
	authority []byte
	ctx       context.Context
	stop      context.CancelFunc
	all       sync.WaitGroup
	dial      pgconn.DialFunc // of clients' connections to the server; default: pgconn's

	mu     sync.Mutex
	users  map[string]*user // that have logged in with a token
	faults map[string]*fault
	open   map[*connection]bool
}

// user is a user of a service. Its password opens the server, and is known to the front only.
type user struct {
	mu       sync.Mutex
	password string // empty before the user is set up
}

// Start listens on this machine only, and answers until [Front.Stop].
func Start(options Options) (*Front, error) {
	authority, certificate, err := certificates(Hosts)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", options.Port))
	if err != nil {
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
	}
	f := &Front{
		options: options, listener: listener, authority: authority,
		tls:   &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"postgresql"}, MinVersion: tls.VersionTLS12},
		users: map[string]*user{}, faults: map[string]*fault{}, open: map[*connection]bool{},
	}
	f.ctx, f.stop = context.WithCancel(context.Background())
	f.all.Go(f.accept)
	return f, nil
}

// Port is where the front listens, and Authority the certificate (PEM) that clients trust.
func (f *Front) Port() int         { return f.listener.Addr().(*net.TCPAddr).Port }
func (f *Front) Authority() []byte { return f.authority }

// Seen counts the connections, and lists the faults that users have.
func (f *Front) Seen() (connections int, faults []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for user, now := range f.faults {
		faults = append(faults, now.kind+" of "+user)
	}
	slices.Sort(faults)
	return len(f.open), faults
}

// Stop ends all connections, and returns when they have ended.
func (f *Front) Stop() error {
	f.stop()
	err := f.listener.Close()
	f.Cut()
	f.all.Wait()
	return err
}

// Cut ends the connections that are there, as a failover does.
func (f *Front) Cut() { f.cut(func(*connection) bool { return true }) }

func (f *Front) cut(which func(*connection) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.open {
		if which(c) {
			c.close()
		}
	}
}

func (f *Front) accept() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return // the listener is closed
		}
		c := &connection{front: f, client: conn}
		c.ctx, c.close = context.WithCancel(f.ctx)
		context.AfterFunc(c.ctx, func() { _ = conn.Close() })
		f.mu.Lock()
		f.open[c] = true
		f.mu.Unlock()
		f.all.Go(func() {
			c.serve()
			c.close()
			f.mu.Lock()
			defer f.mu.Unlock()
			delete(f.open, c)
		})
	}
}

// connection is a connection of a client.
type connection struct {
	front  *Front
	ctx    context.Context // ends with the connection
	close  context.CancelFunc
	client net.Conn
	user   string // empty before the client has said it; then it stays
}

// loginTimeout is the time a client has to log in: authentication_timeout's default in PostgreSQL.
const loginTimeout = time.Minute

// serve carries a connection through its life.
// https://www.postgresql.org/docs/current/protocol-flow.html
func (c *connection) serve() {
	_ = c.client.SetDeadline(time.Now().Add(loginTimeout))
	startup, conn, err := c.begin()
	if err != nil || startup == nil {
		return
	}
	name := startup.Parameters["user"]
	c.front.mu.Lock()
	c.user = name
	c.front.mu.Unlock()
	if c.front.pass(c.ctx, name) != nil {
		return
	}
	backend := pgproto3.NewBackend(conn, conn)
	fail := func(code, message string) {
		backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: message})
		_ = backend.Flush()
	}
	if _, encrypted := conn.(*tls.Conn); !encrypted {
		fail("28000", fmt.Sprintf("no pg_hba.conf entry for host %q, user %q, database %q, no encryption", host(conn), name, wanted(startup)))
		return
	}
	if c.front.throttled(name) {
		fail("53300", "remaining connection slots are reserved for roles with the SUPERUSER attribute")
		return
	}
	if newer := newer(startup); newer != nil {
		backend.Send(newer)
	}
	backend.Send(&pgproto3.AuthenticationCleartextPassword{})
	if backend.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil || backend.Flush() != nil {
		return
	}
	message, err := backend.Receive()
	password, ok := message.(*pgproto3.PasswordMessage)
	if err != nil || !ok {
		return
	}
	server, err := c.front.login(c.ctx, startup, password.Password)
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused):
		fail(refused.Code, refused.Message)
		return
	case errors.Is(err, errRefused):
		c.front.options.Refused(name, err)
		fail("28000", fmt.Sprintf("PAM authentication failed for user %q", name))
		return
	case err != nil:
		c.front.options.Refused(name, err)
		fail("57P03", "the database system is not accepting connections")
		return
	}
	c.pipe(conn, server, backend)
}

// begin reads what a client begins with, and starts TLS if the client asks for TLS. The startup message is
// nil if the client has only canceled a query of another connection.
func (c *connection) begin() (*pgproto3.StartupMessage, net.Conn, error) {
	reader := bufio.NewReader(c.client)
	var conn net.Conn = &buffered{c.client, reader}
	if first, err := reader.Peek(1); err != nil {
		return nil, nil, err
	} else if first[0] == 0x16 { // a handshake of TLS: the client asks with sslnegotiation=direct
		conn = tls.Server(conn, c.front.tls)
	}
	for {
		message, err := pgproto3.NewBackend(conn, conn).ReceiveStartupMessage()
		if err != nil {
			return nil, nil, err
		}
		answer := byte('N')
		switch message := message.(type) {
		case *pgproto3.StartupMessage:
			return message, conn, nil
		case *pgproto3.CancelRequest:
			return nil, nil, c.front.forward(message)
		case *pgproto3.SSLRequest:
			answer = 'S'
		}
		if _, err := conn.Write([]byte{answer}); err != nil {
			return nil, nil, err
		}
		if _, encrypted := conn.(*tls.Conn); answer == 'S' && !encrypted {
			conn = tls.Server(conn, c.front.tls)
		}
	}
}

// buffered is a connection of which some bytes were read ahead.
type buffered struct {
	net.Conn
	reader *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.reader.Read(p) }

func host(conn net.Conn) string {
	host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
	return host
}

// wanted is the database that a client asks for. Default: the user's name.
func wanted(startup *pgproto3.StartupMessage) string {
	if name := startup.Parameters["database"]; name != "" {
		return name
	}
	return startup.Parameters["user"]
}

// newer is the answer to a client that asks for more than version 3.0 of the protocol. It is nil for others.
func newer(startup *pgproto3.StartupMessage) *pgproto3.NegotiateProtocolVersion {
	var unknown []string
	for name := range startup.Parameters {
		if strings.HasPrefix(name, "_pq_.") {
			unknown = append(unknown, name)
		}
	}
	if startup.ProtocolVersion == pgproto3.ProtocolVersion30 && unknown == nil {
		return nil
	}
	return &pgproto3.NegotiateProtocolVersion{UnrecognizedOptions: unknown}
}

// forward hands a request to cancel a query on to the server.
func (f *Front) forward(request *pgproto3.CancelRequest) error {
	config, err := pgconn.ParseConfig(f.options.Administrator())
	if err != nil {
		return err
	}
	server, err := config.DialFunc(f.ctx, "tcp", net.JoinHostPort(config.Host, fmt.Sprint(config.Port)))
	if err != nil {
		return err
	}
	defer server.Close()
	bytes, err := request.Encode(nil)
	if err != nil {
		return err
	}
	if _, err := server.Write(bytes); err != nil {
		return err
	}
	_, _ = server.Read(make([]byte, 1)) // the server closes when it has taken the request
	return nil
}

// errRefused is in the error of a connection that is not let in.
var errRefused = errors.New("refused")

// session is a connection to the server that is logged in.
type session struct {
	*pgconn.HijackedConn
	// answers is what the server says. If a write has taken long, pgconn goes on reading the connection in the
	// background, and keeps for answers what it reads.
	answers io.Reader
}

// login opens a connection to the server. A password that is a token must be right. The server checks other
// passwords, and no user of a service has one.
func (f *Front) login(ctx context.Context, startup *pgproto3.StartupMessage, password string) (*session, error) {
	name := startup.Parameters["user"]
	if strings.Contains(password, "X-Amz-Signature=") {
		if !f.options.IAM() {
			return nil, fmt.Errorf("%w: the cluster takes no tokens of IAM: set EnableIAMDatabaseAuthentication", errRefused)
		}
		var endpoints []string
		for _, host := range Hosts {
			endpoints = append(endpoints, net.JoinHostPort(host, fmt.Sprint(f.Port())))
		}
		if err := verify(password, name, f.options.ARN(name), endpoints, f.options.Signers, time.Now()); err != nil {
			return nil, fmt.Errorf("%w: %w", errRefused, err)
		}
		var err error
		if password, err = f.prepared(ctx, name); err != nil {
			return nil, err
		}
	}
	config, err := pgconn.ParseConfig(f.options.Administrator())
	if err != nil {
		return nil, err
	}
	config.User, config.Password, config.Database, config.RuntimeParams = name, password, wanted(startup), map[string]string{}
	for parameter, value := range startup.Parameters {
		if parameter != "user" && parameter != "database" && !strings.HasPrefix(parameter, "_pq_.") {
			config.RuntimeParams[parameter] = value
		}
	}
	s := &session{}
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		s.answers = r
		return pgproto3.NewFrontend(r, w)
	}
	if f.dial != nil {
		config.DialFunc = f.dial
	}
	server, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	s.HijackedConn, err = server.Hijack()
	return s, err
}

// prepared makes the user and the database of a service if they are missing, as `cutover database` does on
// AWS, and returns the password that opens the server.
func (f *Front) prepared(ctx context.Context, name string) (string, error) {
	f.mu.Lock()
	u := f.users[name]
	if u == nil {
		u = &user{}
		f.users[name] = u
	}
	f.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.password != "" {
		return u.password, nil
	}
	steps, err := database.Setup(name)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errRefused, err)
	}
	password := rand.Text()
	iam := database.Step{
		Database: database.Administration, Done: `SELECT 1 FROM pg_roles WHERE rolname = '` + database.IAMRole + `'`,
		SQL: `CREATE ROLE ` + database.IAMRole, // which RDS has from the beginning
	}
	steps = append(append([]database.Step{iam}, database.Closed()...), steps...)
	steps = append(steps, database.Step{Database: database.Administration, SQL: fmt.Sprintf(`ALTER ROLE "%s" PASSWORD '%s'`, name, password)})
	for _, step := range steps {
		if err := f.administer(ctx, step); err != nil {
			return "", fmt.Errorf("cannot %s: %w", step.Does, err)
		}
	}
	u.password = password
	return password, nil
}

// administer takes a step as the administrator, unless the step was taken already.
func (f *Front) administer(ctx context.Context, step database.Step) error {
	config, err := pgx.ParseConfig(f.options.Administrator())
	if err != nil {
		return err
	}
	config.Database = step.Database
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if step.Done != "" {
		if done, err := conn.Exec(ctx, step.Done); err != nil || done.RowsAffected() > 0 {
			return err
		}
	}
	_, err = conn.Exec(ctx, step.SQL)
	return err
}
