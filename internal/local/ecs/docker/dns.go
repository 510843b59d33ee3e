package docker

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// recordLife is the TTL of records, in seconds. The address of a stand-in is the same as long as a task has it.
const recordLife = 60

// targetLabel begins the name of an SRV record's target, as the id of an instance does on AWS.
const targetLabel = "service."

// answer answers a query about a name that the caller may use. It is nil for a query about another name.
func (c *caller) answer(query []byte) []byte {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil
	}
	question, err := parser.Question()
	if err != nil || question.Class != dnsmessage.ClassINET {
		return nil
	}
	asked := strings.ToLower(strings.TrimSuffix(question.Name.String(), "."))
	host, isTarget := strings.CutPrefix(asked, targetLabel)
	var known, addressed, recorded bool
	for _, n := range c.names {
		switch {
		case n.ServiceConnect:
		case n.Host == asked:
			known = true
			addressed = addressed || n.Port != 0
			recorded = recorded || n.Port == 0
		case isTarget && n.Host == host && n.Port == 0:
			known, addressed = true, true
		}
	}
	if !known {
		return nil
	}
	address := c.hosts[asked]
	if !address.IsValid() {
		address = c.hosts[host]
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: header.ID, Response: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true})
	record := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: recordLife}
	err = errors.Join(b.StartQuestions(), b.Question(question), b.StartAnswers())
	switch {
	case question.Type == dnsmessage.TypeA && addressed:
		err = errors.Join(err, b.AResource(record, dnsmessage.AResource{A: address.As4()}))
	case question.Type == dnsmessage.TypeSRV && recorded:
		var target dnsmessage.Name
		if target, err = dnsmessage.NewName(targetLabel + asked + "."); err == nil {
			err = b.SRVResource(record, dnsmessage.SRVResource{Priority: 1, Weight: 1, Port: recordsPort, Target: target})
		}
	}
	if err != nil {
		return nil
	}
	message, err := b.Finish()
	if err != nil {
		return nil
	}
	return message
}

// resolve answers a query, if need be with what a DNS server says. Network is that of the query.
func (c *caller) resolve(network string, query []byte) []byte {
	if message := c.answer(query); message != nil {
		return message
	}
	servers := c.servers
	if len(servers) == 0 {
		servers = machineServers("/etc/resolv.conf")
	}
	for _, server := range servers {
		if message, err := ask(network, server.String(), query); err == nil {
			return message
		}
	}
	return failure(query)
}

// machineServers are the DNS servers of this machine.
func machineServers(file string) (servers []netip.AddrPort) {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "nameserver" {
			if address, err := netip.ParseAddr(fields[1]); err == nil {
				servers = append(servers, netip.AddrPortFrom(address, 53))
			}
		}
	}
	return servers
}

// failure is the answer to a query that no server has answered. It is nil if the query cannot be read.
func failure(query []byte) []byte {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil
	}
	header.Response, header.RecursionAvailable, header.RCode = true, true, dnsmessage.RCodeServerFailure
	questions, _ := parser.AllQuestions()
	message, _ := (&dnsmessage.Message{Header: header, Questions: questions}).Pack()
	return message
}

// serverPatience is how long a DNS server may take to answer.
const serverPatience = 2 * time.Second

// ask sends a query to a DNS server and returns its answer.
func ask(network, server string, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), serverPatience)
	defer cancel()
	connection, err := new(net.Dialer).DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	limit, _ := ctx.Deadline()
	_ = connection.SetDeadline(limit)
	if network == "tcp" {
		if err := writeMessage(connection, query); err != nil {
			return nil, err
		}
		return readMessage(connection)
	}
	if _, err := connection.Write(query); err != nil {
		return nil, err
	}
	message := make([]byte, 1<<16)
	n, err := connection.Read(message)
	return message[:n], err
}

// Over TCP, a message follows its length in two bytes (RFC 1035, 4.2.2).
func readMessage(from io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(from, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(from, message)
	return message, err
}

func writeMessage(to io.Writer, message []byte) error {
	_, err := to.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}

// answerPackets answers queries that come by UDP.
func (n *names) answerPackets(socket net.PacketConn) {
	packet := make([]byte, 1<<16)
	for {
		size, from, err := socket.ReadFrom(packet)
		if err != nil {
			return
		}
		query := append([]byte(nil), packet[:size]...)
		go func() {
			if c := n.callerAt(from); c != nil {
				if message := c.resolve("udp", query); message != nil {
					_, _ = socket.WriteTo(message, from)
				}
			}
		}()
	}
}

// answerStream answers queries that come by TCP.
func (n *names) answerStream(connection net.Conn) {
	defer connection.Close()
	c := n.callerAt(connection.RemoteAddr())
	for c != nil {
		query, err := readMessage(connection)
		if err != nil {
			return
		}
		message := c.resolve("tcp", query)
		if message == nil || writeMessage(connection, message) != nil {
			return
		}
	}
}
