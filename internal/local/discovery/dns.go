package discovery

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"cutover/internal/model"
)

// server answers DNS for the private namespaces of a VPC, on this machine only.
type server struct {
	provider *Provider
	vpc      string
	address  string
	servers  []*dns.Server
	ended    chan error // one for each server
}

// serve starts the DNS servers of the VPCs that have private namespaces and none yet. The provider is locked.
func (p *plan) serve() error {
	for _, n := range p.model.Namespaces {
		if n.Type != model.PrivateNamespace || p.servers[n.VPC] != nil {
			continue
		}
		s := &server{provider: p.Provider, vpc: n.VPC}
		if err := p.start(s); err != nil {
			return fmt.Errorf("no DNS server can answer for the namespace %s: %w", n.Name, err)
		}
		p.servers[n.VPC] = s
	}
	return nil
}

// resolver is the address of the DNS server of a VPC; empty if there is none. If the VPC is not known, it is that of
// the only one. The provider is locked.
func (p *Provider) resolver(vpc string) string {
	if s := p.servers[vpc]; s != nil {
		return s.address
	}
	if vpc == "" && len(p.servers) == 1 {
		for _, s := range p.servers {
			return s.address
		}
	}
	return ""
}

// start listens on one port for UDP and TCP.
func (s *server) start() (err error) {
	var tcp net.Listener
	var udp net.PacketConn
	for range 10 { // the port may be taken for UDP
		if tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
		if udp, err = net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			break
		}
		tcp.Close()
	}
	if err != nil {
		return err
	}
	s.address = tcp.Addr().String()
	s.servers = []*dns.Server{{Listener: tcp, Handler: s}, {PacketConn: udp, Handler: s}}
	s.ended = make(chan error, len(s.servers))
	for _, one := range s.servers {
		started := make(chan struct{})
		one.NotifyStartedFunc = func() { close(started) }
		go func() { s.ended <- one.ActivateAndServe() }()
		<-started
	}
	return nil
}

func (s *server) stop() error {
	var errs []error
	for _, one := range s.servers {
		errs = append(errs, one.Shutdown(), <-s.ended)
	}
	return errors.Join(errs...)
}

// namespaces are those that the server answers for. The provider is locked.
func (s *server) namespaces() (names []string) {
	if m := s.provider.latest.model; m != nil {
		for _, n := range m.Namespaces {
			if n.Type == model.PrivateNamespace && n.VPC == s.vpc {
				names = append(names, strings.ToLower(n.Name))
			}
		}
	}
	return names
}

// ServeDNS implements [dns.Handler].
func (s *server) ServeDNS(w dns.ResponseWriter, asked *dns.Msg) {
	answer := new(dns.Msg).SetReply(asked)
	answer.Authoritative = true
	if len(asked.Question) == 1 {
		s.answer(answer, asked.Question[0])
	} else {
		answer.Rcode = dns.RcodeFormatError
	}
	size := dns.MinMsgSize
	if o := asked.IsEdns0(); o != nil {
		size = int(o.UDPSize())
	}
	if _, ok := w.RemoteAddr().(*net.TCPAddr); ok {
		size = dns.MaxMsgSize
	}
	answer.Truncate(size)
	w.WriteMsg(answer)
}

// answer adds the records of a name. SRV records lead to TASK.name, which is the address of the task.
func (s *server) answer(m *dns.Msg, q dns.Question) {
	p := s.provider
	p.mu.Lock()
	defer p.mu.Unlock()
	host := strings.ToLower(strings.TrimSuffix(q.Name, "."))
	if !slices.ContainsFunc(s.namespaces(), func(zone string) bool { return host == zone || strings.HasSuffix(host, "."+zone) }) {
		m.Rcode, m.Authoritative = dns.RcodeRefused, false
		return
	}
	known := slices.ContainsFunc(s.namespaces(), func(zone string) bool { return host == zone })
	for _, service := range p.latest.model.DiscoveryServices {
		if !answered(service) || service.Namespace.VPC != s.vpc {
			continue
		}
		task, below := strings.CutSuffix(host, "."+service.Host())
		if i := p.instances[task]; below && i != nil {
			known = true
			s.add(m, q, dns.TypeA, service, i, host)
		}
		if host != service.Host() {
			continue
		}
		known = true
		kinds := map[uint16]string{dns.TypeA: addressName, dns.TypeSRV: serviceName}
		if kind := kinds[q.Qtype]; kind != "" && service.Record(kind) != nil {
			for _, i := range p.answer(s.target(kind, service), service) {
				s.add(m, q, q.Qtype, service, i, i.task+"."+host)
			}
		}
	}
	if !known {
		m.Rcode = dns.RcodeNameError
	}
}

// target is a name of a service. All ports of an address have the same records.
func (s *server) target(kind string, service *model.DiscoveryService) target {
	for _, t := range s.provider.latest.mapTargets(s.vpc) {
		if t.kind == kind && t.key == service.Key() {
			return t
		}
	}
	return target{}
}

// add adds the record of a task.
func (s *server) add(m *dns.Msg, q dns.Question, recordType uint16, service *model.DiscoveryService, i *instance, name string) {
	kind := addressName
	if service.Record(addressName) == nil {
		kind = serviceName
	}
	host, text, err := net.SplitHostPort(i.at(s.target(kind, service)))
	if err != nil || q.Qtype != recordType {
		return
	}
	port, _ := strconv.Atoi(text)
	header := dns.RR_Header{Name: q.Name, Rrtype: recordType, Class: dns.ClassINET, Ttl: uint32(service.Record(kind).TTL.Seconds())}
	var record dns.RR = &dns.A{Hdr: header, A: net.ParseIP(host)}
	if recordType == dns.TypeSRV {
		record = &dns.SRV{Hdr: header, Priority: 1, Weight: 1, Port: uint16(port), Target: dns.Fqdn(name)}
	}
	if !slices.ContainsFunc(m.Answer, func(other dns.RR) bool { return dns.IsDuplicate(other, record) }) {
		m.Answer = append(m.Answer, record)
	}
}
