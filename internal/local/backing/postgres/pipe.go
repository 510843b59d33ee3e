package postgres

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// The faults of a store, as in [provider.StoreFaults].
const (
	kill        = "store-kill"
	slow        = "store-slow"
	partition   = "partition"
	throttle    = "throttle"
	commitError = "commit-error"
)

// SlowBy is how long a request waits at a store that is slow.
const SlowBy = 200 * time.Millisecond

type fault struct {
	kind    string
	cleared chan struct{}
	commits atomic.Int64 // of writes
}

// Fault does harm to the connections of a user until the returned function is called. A user has one fault
// at a time.
func (f *Front) Fault(kind, user string) (clear func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.faults[user]; now != nil {
		return nil, fmt.Errorf("the store of %s has the fault %s already", user, now.kind)
	}
	one := &fault{kind: kind, cleared: make(chan struct{})}
	switch kind {
	case slow, partition, commitError:
	case throttle:
		for c := range f.open {
			if c.user == user {
				c.close()
			}
		}
	default:
		return nil, fmt.Errorf("a store in PostgreSQL has no fault %q", kind)
	}
	f.faults[user] = one
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.faults, user)
		close(one.cleared)
	}), nil
}

// fault is the fault that a user has; nil for none.
func (f *Front) fault(user string) *fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.faults[user]
}

func (f *Front) throttled(user string) bool {
	now := f.fault(user)
	return now != nil && now.kind == throttle
}

// loses says whether the answer to a commit is lost: every other one, beginning with the first.
func (f *Front) loses(user string) bool {
	now := f.fault(user)
	return now != nil && now.kind == commitError && now.commits.Add(1)%2 == 1
}

// pass returns when what comes next may pass: at once, or when a partition has ended.
func (f *Front) pass(ctx context.Context, user string) error {
	for now := f.fault(user); now != nil && now.kind == partition; now = f.fault(user) {
		select {
		case <-now.cleared:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// pipe tells a client that it is logged in, and carries messages until one side ends.
func (c *connection) pipe(client net.Conn, server *session, backend *pgproto3.Backend) {
	defer server.Conn.Close()
	defer context.AfterFunc(c.ctx, func() { _ = server.Conn.Close() })()
	backend.Send(&pgproto3.AuthenticationOk{})
	for name, value := range server.ParameterStatuses {
		backend.Send(&pgproto3.ParameterStatus{Name: name, Value: value})
	}
	backend.Send(&pgproto3.BackendKeyData{ProcessID: server.PID, SecretKey: server.SecretKey})
	backend.Send(&pgproto3.ReadyForQuery{TxStatus: server.TxStatus})
	if backend.Flush() != nil || client.SetDeadline(time.Time{}) != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		defer c.close()
		_ = c.requests(server.Conn, client)
	})
	both.Go(func() {
		defer c.close()
		_ = c.answers(client, server.answers)
	})
	both.Wait()
}

// requests carries what the client asks for.
func (c *connection) requests(to io.Writer, from io.Reader) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return err
		}
		if now := c.front.fault(c.user); now != nil && now.kind == slow {
			select {
			case <-time.After(SlowBy):
			case <-c.ctx.Done():
			}
		}
		if err := c.front.pass(c.ctx, c.user); err != nil {
			return err
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return err
		}
	}
}

// answers carries what the server says, message by message, and loses commits if that is the user's fault.
// https://www.postgresql.org/docs/current/protocol-message-formats.html
func (c *connection) answers(to io.Writer, from io.Reader) error {
	in, out := bufio.NewReaderSize(from, 64<<10), bufio.NewWriterSize(to, 64<<10)
	commits := commits{lose: func() bool { return c.front.loses(c.user) }}
	head := make([]byte, 5)
	for {
		if _, err := io.ReadFull(in, head); err != nil {
			return err
		}
		length := int64(binary.BigEndian.Uint32(head[1:])) - 4
		if !commits.concerns(head[0]) {
			if _, err := out.Write(head); err != nil {
				return err
			}
			if _, err := io.CopyN(out, in, length); err != nil {
				return err
			}
		} else {
			body := make([]byte, length)
			if _, err := io.ReadFull(in, body); err != nil {
				return err
			}
			told, lost := commits.take(head, body)
			if lost {
				return nil
			}
			if _, err := out.Write(told); err != nil {
				return err
			}
		}
		if in.Buffered() == 0 {
			if err := c.front.pass(c.ctx, c.user); err != nil {
				return err
			}
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

// commits follows the writes of a connection. It holds the report of a write back until the server says
// whether the write is committed.
type commits struct {
	lose  func() bool // says whether the answer to a commit is lost
	wrote bool        // in the transaction that is open
	held  []byte      // messages from the report on; nil if nothing is held
}

// concerns says whether a message has to be taken: those of type 'C' report what a command did, and those of
// type 'Z' say whether a transaction is open.
func (w *commits) concerns(kind byte) bool { return w.held != nil || kind == 'C' || kind == 'Z' }

// take takes a message, and returns what the client is told now. Lost says that the message ends a commit whose
// answer is lost.
func (w *commits) take(head, body []byte) (told []byte, lost bool) {
	message := append(append(w.held, head...), body...)
	held := w.held != nil
	w.held = nil
	switch head[0] {
	case 'C':
		verb, wrote := tag(body)
		w.wrote = w.wrote || wrote
		if held || wrote || verb == "COMMIT" && w.wrote {
			w.held = message
			return nil, false
		}
		return message, false
	case 'E': // what was held is rolled back
		return message, false
	case 'Z':
		if body[0] != 'I' { // a transaction is open
			return message, false
		}
		w.wrote = false
		return message, held && w.lose()
	}
	w.held = message
	return nil, false
}

// tag reads a command's tag, as in "INSERT 0 1", and says whether the command wrote something.
func tag(body []byte) (verb string, wrote bool) {
	text := strings.TrimRight(string(body), "\x00")
	verb, _, _ = strings.Cut(text, " ")
	switch verb {
	case "INSERT", "UPDATE", "DELETE", "MERGE":
		wrote = !strings.HasSuffix(text, " 0")
	}
	return verb, wrote
}
