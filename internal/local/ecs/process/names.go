//go:build unix

package process

import (
	"cmp"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cutover/internal/local/ecs"
	"cutover/internal/model"
)

// link is a name under which a container reaches another one, of its task or of another service.
type link struct {
	container, alias string
	ports            []port // those of variables of Docker's links
	// local has the ports of this machine by those of the name, by 0 the port that SRV records tell.
	local map[int]int
	// service says that the name is another service's. Then a host alone needs a port to lead anywhere.
	service bool
	// spared are variables that have the alias for something else.
	spared []string
}

func splitLink(text string) (container, alias string) {
	container, alias, _ = strings.Cut(text, ":")
	return container, cmp.Or(alias, container)
}

func linksOf(whole *model.TaskDefinition, c model.Container) (links []link) {
	for _, text := range c.Links {
		l := link{}
		l.container, l.alias = splitLink(text)
		for _, other := range whole.Containers {
			if other.Name == l.container {
				l.ports = portsOf(whole, other)
			}
		}
		links = append(links, l)
	}
	return links
}

// links are all names that lead somewhere: of linked containers, of those that share the network of the
// task, and of other services.
func (p *process) links(r ecs.StartRequest) (all []link) {
	for _, l := range linksOf(r.TaskDefinition, p.definition) {
		if peer, ok := r.Peers[l.container].(*process); ok {
			l.local = peer.ports
			all = append(all, l)
		}
	}
	if p.network != nil {
		for _, alias := range localNames {
			all = append(all, link{alias: alias, local: p.network, spared: ecs.ToThisMachine(p.definition)})
		}
	}
	return append(all, services(r.Names)...)
}

// services are the names of other services, each with all its ports.
func services(names []ecs.Name) (all []link) {
	for _, n := range names {
		i := slices.IndexFunc(all, func(l link) bool { return strings.EqualFold(l.alias, n.Host) })
		if i < 0 {
			i = len(all)
			all = append(all, link{alias: n.Host, local: map[int]int{}, service: true})
		}
		_, chosen, _ := net.SplitHostPort(n.Address)
		all[i].local[n.Port], _ = strconv.Atoi(chosen)
	}
	return all
}

// standardPorts are those of URLs without a port, by the scheme.
var standardPorts = map[string]int{
	"http": 80, "ws": 80, "https": 443, "wss": 443, "redis": 6379, "rediss": 6379, "postgres": 5432, "postgresql": 5432,
	"mysql": 3306, "amqp": 5672, "amqps": 5671, "mongodb": 27017, "nats": 4222,
}

// addresses matches an alias with a port, as in "tcp://db:5432", and an alias after the scheme of a URL.
func addresses(alias string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)((?:([a-z][a-z0-9+.-]*)://(?:[^\s/@]*@)?)|^|[^\w.-])` + regexp.QuoteMeta(alias) + `\.?(?::(\d+)\b|([^\w.:@-]|$))`)
}

// named are the ports of an alias that variables name.
func named(alias string, variables environment) (ports []int) {
	for _, v := range variables {
		rewriteAddresses(alias, v.Value, func(number int, standard bool) (int, bool) {
			if !standard || number == 80 {
				ports = append(ports, number)
			}
			return 0, false
		})
		if host := hostVariable.FindStringSubmatch(v.Name); host != nil && v.Value == alias {
			if number, err := strconv.Atoi(variables.get(host[1]+"PORT", "")); err == nil {
				ports = append(ports, number)
			}
		}
	}
	return ports
}

// rewriteAddresses replaces each address of an alias in a value by one of this machine, if local
// knows the port. It is 0 for the port that SRV records tell, as of "http+srv://users". Standard says that
// the port is that of the URL's scheme.
func rewriteAddresses(alias, value string, local func(number int, standard bool) (int, bool)) string {
	pattern := addresses(alias)
	return pattern.ReplaceAllStringFunc(value, func(found string) string {
		groups := pattern.FindStringSubmatch(found)
		before, scheme, port, end := groups[1], groups[2], groups[3], groups[4]
		plain, records := strings.CutSuffix(strings.ToLower(scheme), "+srv")
		number, known := 0, true
		switch {
		case port != "":
			number, _ = strconv.Atoi(port)
			known = !records // which have the port
		case records:
			before = strings.Replace(before, scheme, scheme[:len(plain)], 1)
		default:
			plain, _, _ = strings.Cut(plain, "+")
			number, known = standardPorts[plain]
		}
		if !known {
			return found
		}
		chosen, ok := local(number, port == "")
		if !ok {
			return found
		}
		return fmt.Sprintf("%s%s:%d%s", before, loopback, chosen, end)
	})
}

// hostVariable matches the names of variables that have a host alone.
var hostVariable = regexp.MustCompile(`^(.*)(HOST|HOSTNAME|SERVER|ADDR|ADDRESS|ENDPOINT)$`)

// elsewhere says whether a variable has the port of another host, as DB_PORT beside DB_HOST=db.
func (e environment) elsewhere(name string) bool {
	prefix, isPort := strings.CutSuffix(name, "PORT")
	return isPort && prefix != "" && slices.ContainsFunc(e, func(v model.Variable) bool {
		host := hostVariable.FindStringSubmatch(v.Name)
		return host != nil && host[1] == prefix && v.Value != "" && v.Value != "localhost" && net.ParseIP(v.Value) == nil
	})
}

// rewrite lets the addresses of the name in a text lead to this machine.
func (l link) rewrite(text string) string {
	return rewriteAddresses(l.alias, text, func(number int, _ bool) (int, bool) {
		chosen, ok := l.local[number]
		return chosen, ok
	})
}

// set lets a container's variables lead where the name leads:
//   - Values with the alias and a port, as in "redis:6379", get the address of this machine.
//   - A variable such as DB_HOST with the alias alone gets the loopback address, and DB_PORT the port.
//   - The variables of Docker's links are set, unless the container has one of the name.
//
// https://docs.docker.com/network/links/#environment-variables
func (l link) set(variables *environment) {
	given := slices.Clone(*variables)
	for i, v := range given {
		if !slices.Contains(l.spared, v.Name) {
			(*variables)[i].Value = l.rewrite(v.Value)
		}
	}
	for i, v := range given {
		host := hostVariable.FindStringSubmatch(v.Name)
		if host == nil || !strings.EqualFold(strings.TrimSuffix(v.Value, "."), l.alias) {
			continue
		}
		chosen, known := l.beside(host[1], given)
		if known || !l.service {
			(*variables)[i].Value = loopback
		}
		if known {
			variables.set(host[1]+"PORT", strconv.Itoa(chosen))
		}
	}
	set := func(name, value string) {
		if variables.index(name) < 0 {
			variables.set(name, value)
		}
	}
	prefix := variableName(l.alias) + "_PORT"
	for _, p := range l.ports {
		chosen := strconv.Itoa(l.local[p.number])
		for _, protocol := range p.protocols {
			url := protocol + "://" + loopback + ":" + chosen
			name := fmt.Sprintf("%s_%d_%s", prefix, p.number, strings.ToUpper(protocol))
			set(prefix, url)
			set(name, url)
			set(name+"_ADDR", loopback)
			set(name+"_PORT", chosen)
			set(name+"_PROTO", protocol)
		}
	}
}

// beside is the port of this machine for a variable with the alias alone: that of the variable with a port
// beside it. The only port of a service needs no variable.
func (l link) beside(prefix string, variables environment) (chosen int, known bool) {
	if l.service && prefix == "" {
		return 0, false // HOST and PORT are the container's own
	}
	if text := variables.get(prefix+"PORT", ""); text != "" {
		number, err := strconv.Atoi(text)
		chosen, known = l.local[number]
		return chosen, known && err == nil && number != 0
	}
	for number, port := range l.local {
		chosen, known = port, number != 0
	}
	return chosen, known && l.service && len(l.local) == 1
}

// lost are the variables in which a service's name still is an address.
func (l link) lost(variables environment) (names []string) {
	alias := regexp.QuoteMeta(l.alias)
	pattern := `(?i)://([^\s/@]*@)?` + alias + `\.?([^\w.@-]|$)`
	if strings.Contains(l.alias, ".") { // nothing else than an address
		pattern = `(?i)(^|[^\w.-])` + alias + `\.?($|[^\w.-])`
	}
	address := regexp.MustCompile(pattern)
	for _, v := range variables {
		alone := hostVariable.MatchString(v.Name) && strings.EqualFold(v.Value, l.alias)
		if l.service && (alone || address.MatchString(v.Value)) {
			names = append(names, v.Name)
		}
	}
	return names
}

// example is an address with the name that leads to this machine.
func (l link) example() string {
	if _, records := l.local[0]; records {
		return "http+srv://" + l.alias
	}
	lowest := 0
	for number := range l.local {
		if lowest == 0 || number < lowest {
			lowest = number
		}
	}
	return fmt.Sprintf("http://%s:%d", l.alias, lowest)
}

// lead lets the variables and arguments of a container lead where its names lead, and warns of names of
// services that stay: nobody resolves them for a process.
func (p *process) lead(variables *environment, r ecs.StartRequest) {
	for _, l := range p.links(r) {
		l.set(variables)
		for i := range p.argv {
			if i > 0 && p.image != nil {
				p.argv[i] = l.rewrite(p.argv[i])
			}
		}
		for _, name := range l.lost(*variables) {
			r.Warn(fmt.Sprintf("has the name %s in the variable %s, which a process cannot resolve: write an address, as in %s, or use --driver docker", l.alias, name, l.example()))
		}
	}
}
