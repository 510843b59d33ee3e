package docker

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"cutover/internal/local/ecs"
)

// query is a question about a name, as a resolver sends it.
func query(t *testing.T, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	message, err := (&dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 77, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}).Pack()
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// told is what an answer says.
func told(t *testing.T, message []byte) string {
	t.Helper()
	if message == nil {
		return "nothing"
	}
	var m dnsmessage.Message
	if err := m.Unpack(message); err != nil {
		t.Fatal(err)
	}
	if !m.Response || !m.RecursionAvailable || !m.RecursionDesired || m.ID != 77 || len(m.Questions) != 1 {
		t.Errorf("the head of the answer is %+v", m.Header)
	}
	text := []string{strings.TrimPrefix(m.RCode.String(), "RCode")}
	for _, r := range m.Answers {
		switch body := r.Body.(type) {
		case *dnsmessage.AResource:
			text = append(text, fmt.Sprint(r.Header.Name, r.Header.TTL, " ", netip.AddrFrom4(body.A)))
		case *dnsmessage.SRVResource:
			text = append(text, fmt.Sprint(r.Header.Name, r.Header.TTL, body.Priority, body.Weight, body.Port, body.Target))
		}
	}
	return strings.Join(text, ", ")
}

var somebody = &caller{
	names: []ecs.Name{
		{Host: "users", Port: 3000, ServiceConnect: true},
		{Host: "users.dev.internal", Port: 3000}, {Host: "users.dev.internal", Port: 9000},
		{Host: "posts.dev.internal"},
		{Host: "both.dev.internal"}, {Host: "both.dev.internal", Port: 80},
	},
	hosts: map[string]netip.Addr{
		"users": netip.MustParseAddr("172.17.0.1"), "users.dev.internal": netip.MustParseAddr("172.17.0.2"),
		"posts.dev.internal": netip.MustParseAddr("172.17.0.3"), "both.dev.internal": netip.MustParseAddr("172.17.0.4"),
	},
}

// DNS has addresses of names with a port, and records of those without. It knows nothing of other names.
func TestAnswer(t *testing.T) {
	for _, c := range []struct {
		name string
		kind dnsmessage.Type
		want string
	}{
		{"users.dev.internal.", dnsmessage.TypeA, "Success, users.dev.internal. 60 172.17.0.2"},
		{"Users.Dev.Internal.", dnsmessage.TypeA, "Success, Users.Dev.Internal. 60 172.17.0.2"},
		{"users.dev.internal.", dnsmessage.TypeAAAA, "Success"},
		{"users.dev.internal.", dnsmessage.TypeSRV, "Success"},
		{"service.users.dev.internal.", dnsmessage.TypeA, "nothing"},
		{"posts.dev.internal.", dnsmessage.TypeA, "Success"},
		{"posts.dev.internal.", dnsmessage.TypeSRV, "Success, posts.dev.internal. 60 1 1 32768 service.posts.dev.internal."},
		{"POSTS.dev.internal.", dnsmessage.TypeSRV, "Success, POSTS.dev.internal. 60 1 1 32768 service.posts.dev.internal."},
		{"service.posts.dev.internal.", dnsmessage.TypeA, "Success, service.posts.dev.internal. 60 172.17.0.3"},
		{"service.posts.dev.internal.", dnsmessage.TypeSRV, "Success"},
		{"both.dev.internal.", dnsmessage.TypeA, "Success, both.dev.internal. 60 172.17.0.4"},
		{"both.dev.internal.", dnsmessage.TypeSRV, "Success, both.dev.internal. 60 1 1 32768 service.both.dev.internal."},
		{"service.both.dev.internal.", dnsmessage.TypeA, "Success, service.both.dev.internal. 60 172.17.0.4"},
		{"users.", dnsmessage.TypeA, "nothing"},
		{"dev.internal.", dnsmessage.TypeA, "nothing"},
		{"x.users.dev.internal.", dnsmessage.TypeA, "nothing"},
	} {
		if got := told(t, somebody.answer(query(t, c.name, c.kind))); got != c.want {
			t.Errorf("%s %v: %s, want %s", c.name, c.kind, got, c.want)
		}
	}
	for _, broken := range []string{"", "x", string(query(t, "users.dev.internal.", dnsmessage.TypeA)[:14])} {
		if got := somebody.answer([]byte(broken)); got != nil {
			t.Errorf("%q is answered: %q", broken, got)
		}
	}
}

// dnsServer answers every query with one address, by UDP and TCP.
func dnsServer(t *testing.T, address string) netip.AddrPort {
	t.Helper()
	other := &names{callers: map[netip.Addr]*caller{}, changed: make(chan struct{})}
	loopback := netip.MustParseAddr("127.0.0.1")
	other.callers[loopback] = &caller{names: []ecs.Name{{Host: "elsewhere.example", Port: 1}}, hosts: map[string]netip.Addr{"elsewhere.example": netip.MustParseAddr(address)}, servers: []netip.AddrPort{closed(t)}}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	go other.answerPackets(packets)
	at := netip.MustParseAddrPort(packets.LocalAddr().String())
	listener, err := net.Listen("tcp", at.String())
	if err != nil {
		t.Skip("the TCP port is taken")
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go other.answerStream(connection)
		}
	}()
	return at
}

// closed is an address at which nothing answers.
func closed(t *testing.T) netip.AddrPort {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	return netip.MustParseAddrPort(packets.LocalAddr().String())
}

// The first server that answers resolves names that are no services'. Without one, the query has failed.
func TestResolve(t *testing.T) {
	server := dnsServer(t, "192.0.2.7")
	c := *somebody
	for _, network := range []string{"udp", "tcp"} {
		c.servers = []netip.AddrPort{closed(t), server}
		if got := told(t, c.resolve(network, query(t, "elsewhere.example.", dnsmessage.TypeA))); got != "Success, elsewhere.example. 60 192.0.2.7" {
			t.Errorf("%s: the other server says %s", network, got)
		}
		if got := told(t, c.resolve(network, query(t, "users.dev.internal.", dnsmessage.TypeA))); !strings.Contains(got, "172.17.0.2") {
			t.Errorf("%s: users is %s", network, got)
		}
		c.servers = []netip.AddrPort{closed(t)}
		if got := told(t, c.resolve(network, query(t, "elsewhere.example.", dnsmessage.TypeA))); got != "ServerFailure" {
			t.Errorf("%s: without a server the answer is %s", network, got)
		}
	}
	if got := c.resolve("udp", []byte("x")); got != nil {
		t.Errorf("what is no query is answered: %q", got)
	}
}

func TestMachineServers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("# nameserver 10.0.0.9\nsearch nameserver\nnameserver 10.0.0.1\nnameserver\t::1 \nnameserver\nnameserver x\nnameserver 127.0.0.53"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(machineServers(file)); got != "[10.0.0.1:53 [::1]:53 127.0.0.53:53]" {
		t.Errorf("the servers are %s", got)
	}
	if got := machineServers("/nowhere"); got != nil {
		t.Errorf("without the file the servers are %v", got)
	}
}

// Go's resolver finds names and records.
func TestDNSOfAResolver(t *testing.T) {
	n := newNames()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	go n.answerPackets(packets)
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, packets.LocalAddr().String())
	}}
	found := make(chan string)
	go func() {
		addresses, err := resolver.LookupHost(t.Context(), "users.dev.internal.")
		found <- fmt.Sprint(addresses, err)
		_, records, err := resolver.LookupSRV(t.Context(), "", "", "posts.dev.internal.")
		found <- fmt.Sprint(len(records), err)
	}()
	// The query may come before the container is known.
	time.AfterFunc(10*time.Millisecond, func() { n.register(netip.MustParseAddr("127.0.0.1"), somebody) })
	for _, want := range []string{"[172.17.0.2] <nil>", "1 <nil>"} {
		if got := <-found; got != want {
			t.Errorf("the resolver finds %s, want %s", got, want)
		}
	}
}
