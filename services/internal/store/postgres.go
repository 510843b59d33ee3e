package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"cutover/services/internal/account"
)

// schema are the statements that make the store's table. A change of the schema is a statement at the end that
// only adds, and does nothing the second time: tasks of two versions of a service run side by side.
// Ids have the order of their bytes.
var schema = []string{
	`create table if not exists items (
		list text collate "C" not null, id text collate "C" not null,
		ver bigint not null, seq bigint not null, place text not null, body bytea, expires timestamptz,
		primary key (list, id))`,
	`create index if not exists items_expires on items (expires) where expires is not null`,
}

// outboxSchema are the statements that make the table of the changes that are to be told.
var outboxSchema = []string{
	`create table if not exists outbox (
		number bigint generated always as identity primary key,
		list text not null, id text not null, ver bigint not null, seq bigint not null, body bytea, event bytea not null)`,
}

// outboxDone is for the outbox what schemaDone is for the items.
const outboxDone = "select to_regclass('outbox') is not null"

// schemaDone says whether the last statement of the schema is done. Another start takes no lock then, for which
// all writers would have to wait.
const schemaDone = "select to_regclass('items_expires') is not null"

// schemaLock is the advisory lock under which a process makes the schema. The number means nothing.
const schemaLock = 7236837

// postgreSQL keeps items in the table items of a database of PostgreSQL.
//
// Each change is one statement, whose condition is the expected version. At the isolation level read committed,
// a statement that waited for another writer looks at the row again
// (https://www.postgresql.org/docs/current/transaction-iso.html). The statements of a write are in the order of
// their keys, so that two writes never wait for each other.
type postgreSQL struct {
	pool *pgxpool.Pool
	patience
	schema sync.Mutex
	ready  bool         // the schema is there
	tells  bool         // there is an outbox
	purged atomic.Int64 // the second of the last removal of expired items
}

// defaults are parameters that the URL of a database gets if it has none of its own. Connections that nobody
// uses are closed, so that Aurora can pause. A connection to a paused Aurora is there after about 15 seconds,
// and the next caller finds it
// (https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html). After a
// failover, the name may lead to the former writer for a while: nobody keeps a connection to it.
var defaults = map[string]string{
	"pool_max_conns": "4", "pool_max_conn_idle_time": "30s", "pool_health_check_period": "10s", "pool_max_conn_lifetime": "15m",
	"pool_ping_timeout": "1s", "connect_timeout": "20",
	"default_transaction_isolation": "read committed", "target_session_attrs": "read-write",
}

// newPostgreSQL returns the store of a database's URL. If the URL has no password, each new connection gets a
// token that proves the identity of the service
// (https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.html). PGSSLROOTCERT is a
// file with the certificates of authorities. Default: those of Amazon RDS.
func newPostgreSQL(module, address string, getenv func(string) string) (*postgreSQL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgresql" && u.Scheme != "postgres" || u.Hostname() == "" || u.User.Username() == "" || len(u.Path) < 2 {
		return nil, errors.New("give a URL such as postgresql://USER@HOST:PORT/DATABASE?sslmode=verify-full") // and say no password
	}
	patience, err := patienceOf(getenv)
	if err != nil {
		return nil, err
	}
	parameters := maps.Clone(defaults)
	parameters["application_name"] = module
	// The server ends what the service does not wait for any more, and gives its locks free.
	parameters["statement_timeout"] = strconv.FormatInt(4*time.Duration(patience).Milliseconds(), 10)
	parameters["idle_in_transaction_session_timeout"] = parameters["statement_timeout"]
	if file := getenv("PGSSLROOTCERT"); file != "" {
		parameters["sslrootcert"] = file
	}
	query := []string{u.RawQuery}
	for name, value := range parameters {
		if !u.Query().Has(name) {
			query = append(query, name+"="+strings.ReplaceAll(url.QueryEscape(value), "+", "%20")) // a + is no space in these URLs
		}
	}
	u.RawQuery = strings.TrimPrefix(strings.Join(query, "&"), "&")
	config, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("the URL is wrong: %w", cause(err))
	}
	to := config.ConnConfig
	verified := to.TLSConfig != nil && !to.TLSConfig.InsecureSkipVerify
	embedded := verified && to.TLSConfig.RootCAs == nil
	if embedded {
		to.TLSConfig.RootCAs = rdsRoots()
	}
	p := &postgreSQL{patience: patience, tells: getenv(variable(module, "PUBLISHES")) == "on"}
	config.AfterConnect = p.prepare
	if _, ok := u.User.Password(); !ok {
		if !verified || len(to.Fallbacks) > 0 {
			return nil, errors.New("without a password, the URL must have one host and sslmode=verify-full: a token goes to no server that could be another")
		}
		signer, err := account.Of(getenv)
		if err != nil {
			return nil, err
		}
		if embedded && !hasRoots(signer.Region) {
			return nil, fmt.Errorf("the certificates of Amazon RDS in %s are not in this program: set PGSSLROOTCERT to a file that has them", signer.Region)
		}
		config.BeforeConnect = func(ctx context.Context, to *pgx.ConnConfig) (err error) {
			endpoint := net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port)))
			to.Password, err = auth.BuildAuthToken(ctx, endpoint, signer.Region, to.User, signer)
			return err
		}
	}
	if p.pool, err = pgxpool.NewWithConfig(context.Background(), config); err != nil {
		return nil, fmt.Errorf("the URL is wrong: %w", err)
	}
	return p, nil
}

// cause is an error without the connection string that the driver puts in front of it.
func cause(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return errors.New("a parameter is not known or has a wrong value")
}

// prepare makes the schema when the process makes its first connection.
func (p *postgreSQL) prepare(ctx context.Context, conn *pgx.Conn) error {
	p.schema.Lock()
	defer p.schema.Unlock()
	if p.ready {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Duration(p.patience)) // others wait for it
	defer cancel()
	statements := schema
	done := schemaDone
	if p.tells {
		statements = slices.Concat(schema, outboxSchema)
		done += " and (" + outboxDone + ")"
	}
	if err := conn.QueryRow(ctx, done).Scan(&p.ready); err != nil || p.ready {
		return err
	}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", schemaLock); err != nil {
			return err
		}
		for _, statement := range statements {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	p.ready = err == nil
	return err
}

// columns are an item's, in the order in which scan reads them.
const columns = "list, id, ver, seq, place, body, expires"

func scan(row pgx.CollectableRow) (item Item, err error) {
	var expires *time.Time
	err = row.Scan(&item.List, &item.ID, &item.Version, &item.Seq, &item.Place, &item.Body, &expires)
	if expires != nil {
		item.Expires = expires.UTC()
	}
	return item, err
}

// Get implements [Store].
func (p *postgreSQL) Get(ctx context.Context, keys ...Key) ([]Item, error) {
	if err := checkKeys(keys...); err != nil {
		return nil, err
	}
	distinct := slices.Compact(slices.SortedFunc(slices.Values(keys), compareKeys))
	lists, ids := make([]string, len(distinct)), make([]string, len(distinct))
	for i, k := range distinct {
		lists[i], ids[i] = k.List, k.ID
	}
	found := map[Key]Item{}
	rows, err := p.read(ctx, "select "+columns+" from unnest($1::text[], $2::text[]) as asked (list, id) join items using (list, id)", lists, ids)
	for _, item := range rows {
		found[item.Key] = item
	}
	items := make([]Item, len(keys))
	for i, k := range keys {
		items[i] = found[k]
		items[i].Key = k
	}
	return items, err
}

// List implements [Store].
func (p *postgreSQL) List(ctx context.Context, list, after string, limit int) ([]Item, error) {
	if err := checkList(list, after); err != nil {
		return nil, err
	}
	var most *int // no limit
	if limit > 0 {
		most = &limit
	}
	return p.read(ctx, "select "+columns+" from items where list = $1 and id > $2 order by id limit $3", list, after, most)
}

// read returns the items that a statement selects.
func (p *postgreSQL) read(ctx context.Context, statement string, arguments ...any) (items []Item, err error) {
	err = p.connected(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, statement, arguments...)
		if err != nil {
			return notDone(err)
		}
		if items, err = pgx.CollectRows(rows, scan); err != nil {
			return notDone(err)
		}
		return nil
	})
	return items, err
}

// Write implements [Store].
func (p *postgreSQL) Write(ctx context.Context, changes ...Change) error {
	if err := Check(changes); err != nil {
		return err
	}
	changes = slices.SortedFunc(slices.Values(changes), func(a, b Change) int { return compareKeys(a.Key, b.Key) })
	err := p.connected(ctx, func(ctx context.Context, conn *pgxpool.Conn) error { return write(ctx, conn, changes) })
	if err == nil {
		p.purge()
	}
	return err
}

// write does changes, which are in the order of their keys. A single statement is a transaction by itself.
func write(ctx context.Context, conn *pgxpool.Conn, changes []Change) error {
	batch := &pgx.Batch{}
	several := len(changes) > 1 || changes[0].Event != nil
	if several {
		batch.Queue("begin")
	}
	told := 0
	for _, c := range changes {
		statement, arguments := c.statement()
		batch.Queue(statement, arguments...)
	}
	for _, c := range changes { // a change of the key that came first has told already, for this one has waited for it
		if c.Event != nil && !c.Remove {
			item := c.written()
			batch.Queue("insert into outbox (list, id, ver, seq, body, event) values ($1, $2, $3, $4, $5, $6)", item.List, item.ID, item.Version, item.Seq, item.Body, item.Event)
			told++
		}
	}
	conflict, err := send(ctx, conn, batch, changes, told)
	switch {
	case err != nil && (several || pgconn.SafeToRetry(err) || rolledBack(err)):
		return notDone(err)
	case err != nil:
		return fmt.Errorf("a write may have been done: %w", err)
	case conflict != nil && several:
		_, _ = conn.Exec(ctx, "rollback") // a connection that is lost rolls back by itself
		return conflict
	case conflict != nil:
		return conflict
	case !several:
		return nil
	}
	if _, err := conn.Exec(ctx, "commit"); err != nil {
		if pgconn.SafeToRetry(err) || rolledBack(err) {
			return notDone(err)
		}
		return fmt.Errorf("a write may have been done: %w", err)
	}
	return nil
}

// send sends the statements in one go. The conflict is that of the first change that changed nothing.
func send(ctx context.Context, conn *pgxpool.Conn, batch *pgx.Batch, changes []Change, told int) (conflict error, err error) {
	results := conn.SendBatch(ctx, batch)
	for range batch.Len() - len(changes) - told {
		_, _ = results.Exec() // an error comes with each of the rest, too
	}
	for _, c := range changes {
		tag, err := results.Exec()
		if err != nil {
			return nil, errors.Join(err, results.Close())
		}
		if tag.RowsAffected() == 0 && conflict == nil {
			conflict = &Conflict{c.Key}
		}
	}
	for range told {
		if _, err := results.Exec(); err != nil {
			return nil, errors.Join(err, results.Close())
		}
	}
	return conflict, results.Close()
}

// Pending implements [Outbox].
func (p *postgreSQL) Pending(ctx context.Context, limit int, except ...Key) (entries []Entry, err error) {
	lists, ids := make([]string, len(except)), make([]string, len(except))
	for i, k := range except {
		lists[i], ids[i] = k.List, k.ID
	}
	err = p.connected(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, `select number, list, id, ver, seq, body, event from outbox
			where not exists (select from unnest($1::text[], $2::text[]) as left_out (list, id) where left_out.list = outbox.list and left_out.id = outbox.id)
			order by number limit $3`, lists, ids, limit)
		if err != nil {
			return notDone(err)
		}
		entries, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e Entry, err error) {
			err = row.Scan(&e.Number, &e.List, &e.ID, &e.Version, &e.Seq, &e.Body, &e.Event)
			return e, err
		})
		if err != nil {
			return notDone(err)
		}
		return nil
	})
	return entries, err
}

// Told implements [Outbox].
func (p *postgreSQL) Told(ctx context.Context, numbers ...int64) error {
	return p.connected(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		if _, err := conn.Exec(ctx, "delete from outbox where number = any($1)", numbers); err != nil {
			return notDone(err)
		}
		return nil
	})
}

// statement does a change if the item has the expected version.
func (c Change) statement() (string, []any) {
	if c.Remove {
		return "delete from items where list = $1 and id = $2 and ver = $3", []any{c.List, c.ID, c.Expected}
	}
	item := c.written()
	var expires *time.Time
	if !item.Expires.IsZero() {
		expires = &item.Expires
	}
	arguments := []any{item.List, item.ID, item.Version, item.Seq, string(item.Place), item.Body, expires}
	if c.Expected == 0 {
		return "insert into items (" + columns + ") values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing", arguments
	}
	return "update items set ver = $3, seq = $4, place = $5, body = $6, expires = $7 where list = $1 and id = $2 and ver = $3 - 1", arguments
}

// purge removes expired items once a minute, after a write, so that nothing wakes a paused database.
// It waits for no other writer.
func (p *postgreSQL) purge() {
	now, last := time.Now().Unix(), p.purged.Load()
	if now-last < 60 || !p.purged.CompareAndSwap(last, now) {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(p.patience))
		defer cancel()
		_, _ = p.pool.Exec(ctx, `delete from items where (list, id) in
			(select list, id from items where expires < now() order by expires limit 1000 for update skip locked)`) // the next minute tries again
	}()
}

// connected calls a function with a connection, and repeats what wraps [ErrBusy].
func (p *postgreSQL) connected(ctx context.Context, attempt func(context.Context, *pgxpool.Conn) error) error {
	return p.call(ctx, func(ctx context.Context) error {
		conn, err := p.pool.Acquire(ctx)
		if err != nil {
			return notDone(err)
		}
		defer conn.Release()
		return attempt(ctx, conn)
	})
}

// notDone is the error of what the server did not do, or what may be done twice: busy unless the statement is
// refused for good. The codes are those of https://www.postgresql.org/docs/current/errcodes-appendix.html.
func notDone(err error) error {
	if errors.As(err, new(*tls.CertificateVerificationError)) {
		return err // another server, or an authority that is not known
	}
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return busy(err) // the connection failed
	}
	switch answer.Code[:min(2, len(answer.Code))] {
	case "08", "40", "53", "55", "57": // connection, rollback, resources, locks, shutdown or time limit
		return busy(err)
	}
	return err
}

// rolledBack says whether the server answered that it did nothing. A server that ends the connection may have
// done it.
func rolledBack(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.SeverityUnlocalized == "ERROR"
}

// Close implements [Store].
func (p *postgreSQL) Close() error { p.pool.Close(); return nil }
