package review

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// FrontChange is what a change does to who may call the services, or to the way there. It is the same in all of its pairs.
type FrontChange struct {
	In []string `json:"in"`
	// Of is an API, a distribution or a load balancer, by its construct path.
	Of string `json:"of"`
	// Does is in words what happens. Opens says that requests come through afterwards that had to be signed before.
	Does  string `json:"does"`
	Opens bool   `json:"opens"`
}

// Fronts lists what the pairs do to the fronts and to the load balancers behind them. What lets more requests through comes first.
func Fronts(pairs []Pair) []FrontChange {
	return merged(pairs, frontsOf)
}

func (c *FrontChange) told() told { return told{&c.In, c.Of, c.Does, c.Opens} }

// behind compares the fronts of two models.
type behind struct {
	was, is *model.Model
	all     []FrontChange
}

func (b *behind) add(of *assembly.Resource, opens bool, format string, args ...any) {
	b.all = append(b.all, FrontChange{Of: place(of), Does: fmt.Sprintf(format, args...), Opens: opens})
}

func frontsOf(pair Pair) []FrontChange {
	b := &behind{was: model.Read(pair.Before), is: model.Read(pair.After)}
	for _, is := range b.is.RestAPIs {
		if was := same(b.was, is); was != nil {
			b.authorization(was, is)
		}
	}
	for _, is := range b.is.LoadBalancers {
		if was := same(b.was, is); was != nil {
			b.scheme(was, is)
			b.doors(was, is)
		}
	}
	for _, is := range b.is.APIStages {
		if was := same(b.was, is); was != nil {
			b.snapshot(was, is)
			b.caches(was, is)
			b.webACL(was, is)
		}
	}
	for _, is := range b.is.Distributions {
		if was := same(b.was, is); was != nil {
			b.page(was, is)
		}
	}
	return b.all
}

// methods are those that a request may have.
var methods = []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}

// called is one of the requests that a resource of an API takes.
type called struct{ method, path string }

// sample is a request that no more specific resource takes.
func (r called) sample() string {
	return strings.NewReplacer("{proxy+}", "\x00", "{", "\x00", "}", "").Replace(r.path)
}

// requestsOf are requests of all resources of two APIs, by path.
func requestsOf(apis ...*model.RestAPI) (all []called) {
	var paths []string
	for _, api := range apis {
		for _, m := range api.Methods {
			paths = append(paths, m.Of.Path())
		}
	}
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		for _, method := range methods {
			all = append(all, called{method, path})
		}
	}
	return all
}

// grouped writes requests down, those of a path together.
func grouped(all []called) string {
	var texts []string
	for i := 0; i < len(all); {
		path, names := all[i].path, []string{}
		for ; i < len(all) && all[i].path == path; i++ {
			names = append(names, all[i].method)
		}
		if len(names) == len(methods) {
			names = []string{"all methods"}
		}
		texts = append(texts, strings.Join(names, ", ")+" "+path)
	}
	return strings.Join(texts, ", ")
}

// open is the authorization that asks nothing of a request.
const open = "NONE"

// authorization says which requests are no longer authorized, and which are now. A method that goes leaves its requests to ANY of
// its resource, and a resource that goes leaves them to the one above. The stage serves it a while longer: see [behind.left].
func (b *behind) authorization(was, is *model.RestAPI) {
	lost, gained := map[string][]called{}, map[string][]called{}
	snapshot, _ := is.Snapshot(was)
	before, after, served := was.Routes(), is.Routes(), snapshot.Routes()
	for _, r := range requestsOf(was, is) {
		one, _ := before.Find(r.method, r.sample())
		other, _ := after.Find(r.method, r.sample())
		switch {
		case one == nil || other == nil || one.Authorization == other.Authorization:
		case other.Authorization == open:
			lost[one.Authorization] = append(lost[one.Authorization], r)
		default:
			if now, _ := served.Find(r.method, r.sample()); now == other {
				gained[other.Authorization] = append(gained[other.Authorization], r)
			}
		}
	}
	for _, kind := range []string{"AWS_IAM", "CUSTOM", "COGNITO_USER_POOLS"} {
		if lost[kind] != nil {
			b.add(is.Resource, true, "lets anybody call what had to have the authorization %s: %s", kind, grouped(lost[kind]))
		}
		if gained[kind] != nil {
			b.add(is.Resource, false, "asks for the authorization %s, and answers requests without it with 403: %s", kind, grouped(gained[kind]))
		}
	}
}

// authorized says whether an API before a load balancer has methods with an authorization.
func authorized(m *model.Model, lb *model.LoadBalancer) bool {
	return slices.ContainsFunc(m.APIMethods, func(a *model.APIMethod) bool {
		return a.Authorization != open && (a.Integration.Target == lb || a.Integration.Function != "")
	})
}

// doors says whether clients reach a load balancer past its fronts. Without a front, all clients reach it itself.
func (b *behind) doors(was, is *model.LoadBalancer) {
	one, other := slices.Contains(b.was.Fronted(), was), slices.Contains(b.is.Fronted(), is)
	before, after := admitted(b.was.Doors(was)), admitted(b.is.Doors(is))
	unsigned := ""
	refused := "gets no answer"
	if b.is.Asks(is) != "" {
		refused = "gets 403"
	}
	if authorized(b.is, is) {
		unsigned = ". The authorization of the API means nothing to them"
	}
	switch {
	case !other && one:
		b.add(is.Resource, authorized(b.was, was), "has no front any more. It admits %s", cmp.Or(after, "nobody else"))
	case !other:
	case !one && after != "":
		b.add(is.Resource, false, "gets a front, and still admits %s past it%s. Close this door by directAccess=off once all clients use the front", after, unsigned)
	case !one:
		b.add(is.Resource, false, "gets a front, and admits nobody past it: a client that asks the load balancer itself %s from this deployment on", refused)
	case before == after:
	case before == "":
		b.add(is.Resource, unsigned != "", "opens the old door: it admits %s past its front%s", after, unsigned)
	case after == "":
		b.add(is.Resource, false, "closes the old door: it no longer admits %s, and a client that asks the load balancer itself %s from this deployment on", before, refused)
	default:
		b.add(is.Resource, unsigned != "", "admits %s past its front instead of %s%s", after, before, unsigned)
	}
}

// admitted are those whom doors admit.
func admitted(doors []model.Door) string {
	var all []string
	for _, d := range doors {
		if !slices.Contains(all, d.Who) {
			all = append(all, d.Who)
		}
	}
	return strings.Join(all, ", ")
}

// scheme says that a load balancer is replaced. Its scheme is where its addresses are
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#load-balancer-scheme).
func (b *behind) scheme(was, is *model.LoadBalancer) {
	if was.Internal == is.Internal {
		return
	}
	word := map[bool]string{true: "internal", false: "internet-facing"}
	named := ""
	if name, ok := is.Resource.Properties["Name"].(string); ok && was.Resource.Properties["Name"] == name {
		named = ", and CloudFormation replaces nothing that keeps its name"
	}
	b.add(is.Resource, false, "has to be replaced, because the setting scheme changes from %s to %s: a new load balancer has another address, and clients of the old one get no answer%s. Unless phaseGate is off, the gate refuses the deployment before anything changes. Make a new environment with the other scheme, and move the clients",
		word[was.Internal], word[is.Internal], named)
}

// snapshot explains another deployment of a stage.
func (b *behind) snapshot(was, is *model.APIStage) {
	if was.Deployment == nil || is.Deployment == nil {
		return
	}
	changed := b.changedMethods(was.API, is.API)
	another := was.Deployment.Key() != is.Deployment.Key()
	switch {
	case another && len(changed) > 0:
		b.add(is.Resource, false, "gets a new deployment of the API (%s), because its methods change: %s. Until then the stage serves the methods of before. A rollback brings both back",
			is.Deployment.Resource.LogicalID, few(8, changed, ""))
		b.left(was, is)
	case another:
		b.add(is.Resource, false, "gets a new deployment of the API (%s), although no method changes", is.Deployment.Resource.LogicalID)
	case len(changed) > 0:
		b.add(is.Resource, false, "goes on serving the methods of before, because it keeps its deployment of the API (%s). What changes of methods reaches no client: %s",
			is.Deployment.Resource.LogicalID, few(8, changed, ""))
	}
}

// left says which methods a new deployment of a stage has, although they left the API, and who may call them.
func (b *behind) left(was, is *model.APIStage) {
	snapshot, left := is.API.Snapshot(was.API)
	if len(left) == 0 {
		return
	}
	var names []string
	for _, m := range left {
		names = append(names, m.Name())
	}
	var opens, locked []called
	served, wanted := snapshot.Routes(), is.API.Routes()
	for _, r := range requestsOf(was.API) {
		now, _ := served.Find(r.method, r.sample())
		then, _ := wanted.Find(r.method, r.sample())
		switch {
		case !slices.Contains(left, now) || then == nil || now.Authorization == then.Authorization:
		case now.Authorization == open:
			opens = append(opens, r)
		default:
			locked = append(locked, r)
		}
	}
	means := ""
	if opens != nil {
		means += ". So anybody may call what has to have an authorization: " + grouped(opens)
	}
	if locked != nil {
		means += ". So the authorization of before is asked for: " + grouped(locked)
	}
	b.add(is.Resource, opens != nil, "goes on serving %s until the deployment after this one, because CloudFormation deletes methods after it has made a deployment%s. To make one at once, use aws apigateway create-deployment --stage-name %s",
		few(8, names, ""), means, is.Name)
}

// changedMethods are the methods that are new, gone or changed, in words.
func (b *behind) changedMethods(was, is *model.RestAPI) (changed []string) {
	if was == nil || is == nil {
		return nil
	}
	for _, m := range is.Methods {
		i := slices.IndexFunc(was.Methods, func(old *model.APIMethod) bool { return old.Name() == m.Name() })
		switch {
		case i < 0:
			changed = append(changed, m.Name()+" is new")
		case len(changedKeys(was.Methods[i].Resource.Properties, m.Resource.Properties)) > 0:
			changed = append(changed, m.Name())
		}
	}
	_, left := is.Snapshot(was)
	for _, m := range left {
		changed = append(changed, m.Name()+" goes")
	}
	return changed
}

// caches says which answers a stage keeps from now on, or no longer.
func (b *behind) caches(was, is *model.APIStage) {
	if was.API == nil || is.API == nil {
		return
	}
	before, after := was.API.Routes(), is.API.Routes()
	kept := func(s *model.APIStage, routes model.APIRoutes, r called) (seconds int) {
		_, ttl := s.Kept(routes, r.method, r.sample())
		return int(ttl.Seconds())
	}
	for _, r := range requestsOf(was.API, is.API) {
		if r.method != "GET" { // API Gateway keeps answers to GET alone, unless a method says otherwise
			continue
		}
		switch one, other := kept(was, before, r), kept(is, after, r); {
		case one == other:
		case one == 0:
			b.add(is.Resource, false, "keeps answers to %s for %d s: after a switch the old side's answers stay that long, and a client may not see a write of its own", grouped([]called{r}), other)
		case other == 0:
			b.add(is.Resource, false, "no longer keeps answers to %s: each request reaches the service", grouped([]called{r}))
		default:
			b.add(is.Resource, false, "keeps answers to %s for %d s instead of %d s", grouped([]called{r}), other, one)
		}
	}
}

// webACL says that a stage loses or gets its web ACL.
func (b *behind) webACL(was, is *model.APIStage) {
	protected := func(m *model.Model, s *model.APIStage) bool {
		return slices.ContainsFunc(m.WebACLs, func(w *model.WebACL) bool { return slices.Contains(w.Protects, s.Key()) })
	}
	switch one, other := protected(b.was, was), protected(b.is, is); {
	case one && !other:
		b.add(is.Resource, false, "is no longer behind a web ACL: what its rules blocked comes through")
	case !one && other:
		b.add(is.Resource, false, "gets a web ACL, whose rules may block requests with 403 that came through before")
	}
}

// page says that a distribution shows another version of its page.
func (b *behind) page(was, is *model.Distribution) {
	for _, origin := range is.Origins {
		if origin.Bucket == nil {
			continue
		}
		i := slices.IndexFunc(was.Origins, func(o *model.Origin) bool { return o.ID == origin.ID && o.Bucket != nil })
		if i < 0 || text(was.Origins[i].Path) == text(origin.Path) {
			continue
		}
		b.add(is.Resource, false, "shows a new version of the page, as a whole: the files in %s instead of %s. The files of before stay for the way back", text(origin.Path), text(was.Origins[i].Path))
	}
}

// text is the value of a variable as the template has it.
func text(v model.Variable) string { return cmp.Or(v.Value, v.Parts.String(), "/") }

// Opens says whether requests come through after the change that had to be signed before.
func (r *Report) Opens() bool {
	return slices.ContainsFunc(r.Fronts, func(c FrontChange) bool { return c.Opens })
}
