package local

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"cutover/internal/assembly"
	"cutover/internal/local/alb"
	"cutover/internal/local/apigateway"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/cloudfront"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// Fronts are those of a model, without an address. The error says what of a distribution is not honoured here.
func Fronts(m *model.Model) ([]provider.Front, error) {
	distributions, err := cloudfront.Fronts(m)
	return append(distributions, apigateway.Fronts(m)...), err
}

// Fronts are those that run now.
func (r *Runner) Fronts() (all []provider.Front) {
	for _, p := range r.providers {
		if fronted, ok := p.(provider.Fronted); ok {
			all = append(all, fronted.Fronts()...)
		}
	}
	return all
}

// URLOf is where clients send a request, without its path: the outermost front, or without one the listener as
// [alb.Provider.URLOf] says. A request that needs a signature goes to the front that checks it, which takes one for its own
// name alone.
func (r *Runner) URLOf(request rules.Request) string {
	front, _ := r.entry(request)
	if front == nil {
		return r.balancers.URLOf(request)
	}
	return front.URL() + front.Base()
}

// Hops are the hops of a request through the fronts that run; none if clients ask a load balancer.
func (r *Runner) Hops(request rules.Request) []provider.Hop {
	fronts := r.Fronts()
	outermost := provider.Outermost(fronts)
	if len(outermost) != 1 {
		return nil
	}
	request.Path = outermost[0].Base() + request.Path
	return provider.Hops(fronts, outermost[0], request)
}

// entry is the front that clients ask, nil if they ask a load balancer, and whether they sign the request.
func (r *Runner) entry(request rules.Request) (front provider.Front, signed bool) {
	for _, hop := range r.Hops(request) {
		if front == nil || hop.Signed {
			front, signed = hop.By, hop.Signed
		}
	}
	return front, signed
}

// Sign returns what signs a request for the user of the deployment; nil if the request needs no signature.
func (r *Runner) Sign(request rules.Request) func(sent *http.Request, body []byte) error {
	front, signed := r.entry(request)
	if !signed {
		return nil
	}
	user, signer, region := r.access.User(), v4.NewSigner(), r.Assembly().Stack(provider.StackOf(front.Key())).Region
	return func(sent *http.Request, body []byte) error {
		credentials := aws.Credentials{AccessKeyID: user.Key, SecretAccessKey: user.Secret}
		return signer.SignHTTP(sent.Context(), credentials, sent, access.Hash(body), apigateway.SigningName, region, time.Now())
	}
}

// Route says where a request would go now: through the fronts, if there are any, and by the rules of the load balancer. A
// URL is for the front or the listener that has its port. A path alone is for the front that clients ask first, or
// without a front as in [alb.Asked].
func (r *Runner) Route(asked alb.Asked) (alb.Route, error) {
	hops, err := hopsOf(r.Fronts(), asked)
	if err != nil || len(hops) == 0 {
		if err != nil {
			return alb.Route{}, err
		}
		return r.balancers.Route(asked)
	}
	return behind(r.Assembly(), hops, asked, r.balancers.At)
}

// Routes says where a request would go in a table, and the fronts before it. See [Runner.Route] and [alb.Routes].
func Routes(m *model.Model, table *rules.Table, asked alb.Asked) ([]alb.Route, error) {
	fronts, err := Fronts(m)
	if err != nil {
		return nil, err
	}
	hops, err := hopsOf(fronts, asked)
	if err != nil {
		return nil, err
	}
	if len(hops) == 0 {
		return alb.Routes(table, asked)
	}
	one, err := behind(m.Assembly, hops, asked, func(balancer string, asked alb.Asked, request rules.Request) (alb.Route, error) {
		return alb.At(table, balancer, asked, request)
	})
	return []alb.Route{one}, err
}

// hopsOf are the hops of a request through the fronts; none if the request is for a load balancer.
func hopsOf(fronts []provider.Front, asked alb.Asked) ([]provider.Hop, error) {
	request, alone, err := asked.Parse()
	if err != nil || len(fronts) == 0 {
		return nil, err
	}
	first, err := firstOf(fronts, request, alone)
	if first == nil || err != nil {
		return nil, err
	}
	if base := first.Base(); alone && request.Path != base && !strings.HasPrefix(request.Path, base+"/") {
		request.Path = base + request.Path
	}
	return provider.Hops(fronts, first, request), nil
}

// firstOf is the front that a request is for; nil if it is for a load balancer.
func firstOf(fronts []provider.Front, request rules.Request, alone bool) (provider.Front, error) {
	if !alone {
		i := slices.IndexFunc(fronts, func(f provider.Front) bool {
			u, err := url.Parse(f.URL())
			return err == nil && u.Port() == strconv.Itoa(request.Port) && (strings.HasPrefix(request.Path+"/", f.Base()+"/") || f.Base() == "")
		})
		if i < 0 {
			return nil, nil
		}
		return fronts[i], nil
	}
	outermost := provider.Outermost(fronts)
	if len(outermost) > 1 {
		var each []string
		for _, f := range outermost {
			each = append(each, fmt.Sprintf("%s (%s)", f.URL()+f.Base()+request.Path, f.Name()))
		}
		return nil, fmt.Errorf("several fronts take requests: name the one that is asked, as in %s", strings.Join(each, " or "))
	}
	return outermost[0], nil
}

// behind is the way of a request behind its fronts.
func behind(a *assembly.Assembly, hops []provider.Hop, asked alb.Asked, at func(balancer string, asked alb.Asked, request rules.Request) (alb.Route, error)) (alb.Route, error) {
	last := hops[len(hops)-1]
	stack, logicalID, _ := strings.Cut(last.Next, "/")
	if s := a.Stack(stack); s == nil || s.Resource(logicalID) == nil || s.Resource(logicalID).Type != model.ELBLoadBalancer {
		return alb.Route{Request: asked.Request, Hops: hops, Action: last.Does, Targets: []alb.TargetStatus{}}, nil
	}
	sent := last.Sent
	sent.SourceIP = netip.AddrFrom4([4]byte{127, 0, 0, 1}) // of the front
	one, err := at(last.Next, asked, sent)
	one.Hops = hops
	return one, err
}
