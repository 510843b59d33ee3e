package records

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"cutover/services/internal/discovery"
	"cutover/services/internal/server"
)

const (
	// How long another service may take to answer.
	peerTime = 2 * time.Second
	// The longest answer of another service that is read, in bytes.
	maxPeerBytes = 1 << 20
)

// peers are the modules that are asked about other records: in this process, or at the address in the
// environment.
type peers struct {
	router *server.Router
	urls   map[string]string // by kind
}

// peerError says that another service cannot say what was asked.
type peerError struct {
	kind string
	err  error
}

func (e *peerError) Error() string { return fmt.Sprintf("%s cannot be asked: %v", e.kind, e.err) }
func (e *peerError) Unwrap() error { return e.err }

// Client is for calls of other services. It keeps connections for less than the 60 s after which a load balancer closes them.
var Client = sync.OnceValue(func() *http.Client {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.Proxy = nil
	base.DialContext = (&net.Dialer{Timeout: peerTime}).DialContext
	base.MaxIdleConnsPerHost, base.IdleConnTimeout = 64, 30*time.Second
	return &http.Client{
		Transport:     &discovery.Transport{Base: base},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
})

// find reads the addresses of the kinds that are not in this process.
func (p *peers) find(kinds []string) error {
	p.urls = map[string]string{}
	var errs []error
	for _, kind := range kinds {
		if p.router.Has("/api/" + kind) {
			continue
		}
		variable := strings.ToUpper(kind) + "_URL"
		address := p.router.Getenv(variable)
		u, err := url.Parse(address)
		if err != nil || !slices.Contains([]string{"http", "https", "http+srv"}, u.Scheme) || u.Host == "" {
			errs = append(errs, fmt.Errorf("%s=%q: must be the address of the service %s, such as http://%[3]s:3000", variable, address, kind))
		}
		p.urls[kind] = strings.TrimSuffix(address, "/")
	}
	return errors.Join(errs...)
}

// exists says whether a kind has a record.
func (p *peers) exists(r *http.Request, kind string, id int64) (bool, error) {
	status, _, err := p.ask(r, kind, fmt.Sprintf("/api/%s/%d", kind, id))
	if err == nil && status != http.StatusOK && status != http.StatusNoContent {
		err = fmt.Errorf("it answered %d", status)
	}
	if err != nil {
		return false, &peerError{kind, err}
	}
	return status == http.StatusOK, nil
}

// refer says whether a list of records refers to an id.
func (p *peers) refer(r *http.Request, by Referring, id int64) (bool, error) {
	status, body, err := p.ask(r, by.Kind, fmt.Sprintf("/api/%s/%s/%d?limit=1", by.Kind, by.List, id))
	if err == nil && (status != http.StatusOK || !strings.HasPrefix(string(body), "[")) {
		err = fmt.Errorf("it answered %d", status)
	}
	if err != nil {
		return false, &peerError{by.Kind, err}
	}
	return string(body) != "[]", nil
}

// ask sends a GET request to a module. The load balancer's trace of the request goes along.
func (p *peers) ask(r *http.Request, kind, path string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), peerTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.urls[kind]+path, nil)
	if err != nil {
		return 0, nil, err
	}
	if p.urls[kind] == "" {
		response := p.router.Ask(request)
		return response.Status(), response.Bytes(), nil
	}
	server.PassTrace(r, request)
	response, err := Client().Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxPeerBytes))
	return response.StatusCode, body, err
}
