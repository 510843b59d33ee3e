package session

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/step"
)

// store is what a service knows of sessions. Two services may share it.
type store struct {
	mu    sync.Mutex
	users map[string]string // by session
	carts map[string]int
	name  string
	last  int
	begun map[string]time.Time
	keeps time.Duration // after which a session ends
}

var stores atomic.Int64

func newStore() *store {
	return &store{name: fmt.Sprintf("s%d-", stores.Add(1)), users: map[string]string{}, carts: map[string]int{}, begun: map[string]time.Time{}}
}

// app is an API with a login that gives a cookie or a token.
type app struct {
	*store
	silent bool // says that an unknown session gets an empty cart instead of 401
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if c, err := r.Cookie("sid"); err == nil {
		id = c.Value
	}
	if began := a.begun[id]; a.keeps > 0 && time.Since(began) > a.keeps {
		delete(a.users, id)
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.Method + " " + r.URL.Path {
	case "GET /login":
		a.last++
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<input name="csrf" value="%d">`, a.last)
	case "POST /login":
		body, _ := io.ReadAll(r.Body)
		var login struct{ Name, Password string }
		if json.Unmarshal(body, &login) != nil || login.Password != "pw-"+login.Name {
			w.WriteHeader(401)
			return
		}
		a.last++
		id := a.name + strconv.Itoa(a.last)
		a.users[id], a.begun[id] = login.Name, time.Now()
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: id, Path: "/", HttpOnly: true})
		fmt.Fprintf(w, `{"token": %q}`, id)
	case "GET /account":
		if a.users[id] == "" {
			w.WriteHeader(401)
			return
		}
		fmt.Fprintf(w, `{"name": %q}`, a.users[id])
	case "PUT /cart":
		if a.users[id] == "" && !a.silent {
			w.WriteHeader(401)
			return
		}
		a.carts[id] = 2
		fmt.Fprint(w, `{"n": 2}`)
	case "GET /cart":
		if a.users[id] == "" && !a.silent {
			w.WriteHeader(401)
			return
		}
		fmt.Fprintf(w, `{"n": %d}`, a.carts[id])
	case "POST /logout":
		delete(a.users, id)
		w.WriteHeader(204)
	default:
		w.WriteHeader(404)
	}
}

func get(path string) step.Step { return step.Step{Request: rehearsal.Request{Path: path}} }

func send(method, path, body string) step.Step {
	return step.Step{Request: rehearsal.Request{Method: method, Path: path, Body: []byte(body), Header: http.Header{"Content-Type": {"application/json"}}, Safe: true}}
}

const credentials = `{"name": "ann{{user}}", "password": "pw-ann{{user}}"}`

func buyer() Config {
	logout := send("POST", "/logout", "")
	gone := get("/account")
	gone.Expect.Status = []int{401}
	return Config{
		Name: "buyer", Users: 4, Rounds: 2,
		Begin: []step.Step{send("POST", "/login", credentials)},
		Steps: []step.Step{get("/account"), send("PUT", "/cart", `{"n": 2}`), get("/cart")},
		End:   []step.Step{logout, gone},
	}
}

// world has services that take one another's place. Each request is answered at once.
type world struct {
	t        *testing.T
	services map[string]http.Handler
	serves   string // the service that answers
	target   string
	stage    string
	source   *Session
	handled  []rehearsal.Handled
	problems []string
	asked    []string // methods, paths and cookies
}

func (w *world) answer(r *rehearsal.Request) rehearsal.Answer {
	method := r.Method
	if method == "" {
		method = "GET"
	}
	w.asked = append(w.asked, strings.TrimSpace(method+" "+r.Path+" "+string(r.Body)))
	sent := httptest.NewRequest(method, r.Path, strings.NewReader(string(r.Body)))
	sent.Header = r.Header.Clone()
	if w.services[w.serves] == nil {
		return rehearsal.Answer{Err: io.EOF}
	}
	got := httptest.NewRecorder()
	w.services[w.serves].ServeHTTP(got, sent)
	return rehearsal.Answer{Seq: -1, Status: got.Code, Header: got.Result().Header, Body: got.Body.Bytes()}
}

func (w *world) baseline() error {
	ask := func(_ context.Context, route int, r *rehearsal.Request) rehearsal.Answer {
		if want := w.source.Routes()[route].String(); r.String() != want {
			w.t.Errorf("%s is sent as %s", r, want)
		}
		return w.answer(r)
	}
	if err := w.source.Baseline(w.t.Context(), ask); err != nil {
		return err
	}
	w.load(100, -1) // the trial
	return w.source.Baseline(w.t.Context(), ask)
}

// load sends n requests. Seq is that of all, or counts from there.
func (w *world) load(n, seq int) {
	for range n {
		call := w.source.Next()
		a := w.answer(call.Request)
		a.Seq = seq
		if seq >= 0 {
			a.Seq = len(w.handled)
			w.handled = append(w.handled, rehearsal.Handled{Service: w.serves, Target: w.target, Stage: w.stage, At: time.Second * time.Duration(a.Seq)})
		}
		p, text := call.Judge.Judge(a)
		if seq >= 0 && p != rehearsal.Fine {
			w.problems = append(w.problems, fmt.Sprintf("%s %s: %v %s", w.stage, call.Request, p, text))
		}
	}
}

func (w *world) result() rehearsal.Result {
	return w.source.Result(func(seq int) rehearsal.Handled {
		if seq < 0 {
			return rehearsal.Handled{Service: "api", Stage: "monolith"}
		}
		return w.handled[seq]
	})
}

// walk goes through monolith, switched, and back.
func walk(t *testing.T, c Config, api, web http.Handler) (*world, rehearsal.Result) {
	t.Helper()
	c.Check(func(problem string, field ...string) { t.Errorf("%v: %s", field, problem) })
	w := &world{t: t, services: map[string]http.Handler{"api": api, "web": web}, serves: "api", stage: "monolith", source: New(c)}
	if err := w.baseline(); err != nil {
		t.Fatal(err)
	}
	w.load(150, 0)
	w.serves, w.stage = "web", "switched"
	w.load(150, 0)
	w.serves, w.stage = "api", "back"
	w.load(150, 0)
	return w, w.result()
}

// Sessions that both services know go on through all phases, with the right variables and cookies.
func TestSessionsGoOn(t *testing.T) {
	shared := newStore()
	w, result := walk(t, buyer(), &app{store: shared}, &app{store: shared})
	if len(w.problems) > 0 || len(result.Findings) > 0 || len(result.Gaps) > 0 {
		t.Errorf("%q\n%+v", w.problems, result)
	}
	if !regexp.MustCompile(`^buyer: 2\d sessions, [4-9] of them in several phases or steps\.$`).MatchString(result.Checked[0]) {
		t.Errorf("checked %q", result.Checked)
	}
	var ignored []string
	for _, i := range result.Ignored {
		ignored = append(ignored, fmt.Sprint(i.Route, " ", i.Part))
	}
	if want := []string{"0 $.token", "1 $.name"}; !slices.Equal(ignored, want) || !result.Loose {
		t.Errorf("ignored %q, want %q", ignored, want)
	}
	// Each user logs in; two of four stay. After two rounds the others log out.
	w.asked = w.asked[:0]
	w.load(200, 0)
	for _, name := range []string{"ann1", "ann2", "ann3", "ann4"} {
		logins := 0
		for _, asked := range w.asked {
			if strings.Contains(asked, name+`"`) {
				logins++
			}
		}
		if short := name == "ann1" || name == "ann3"; short != (logins >= 4) || !short && logins > 0 {
			t.Errorf("%s logs in %d times", name, logins)
		}
	}
	logouts, ends := 0, 0
	for i, asked := range w.asked {
		if asked == "POST /logout" {
			logouts++
			if slices.Contains(w.asked[i:], "GET /account") {
				ends++
			}
		}
	}
	if logouts < 8 || ends < logouts-2 {
		t.Errorf("%d logouts", logouts)
	}
}

// A session that the other side does not know is a finding, whatever that side answers.
func TestUnknownSessions(t *testing.T) {
	token := buyer()
	capture, err := rehearsal.ParseJSONPath("$.token")
	if err != nil {
		t.Fatal(err)
	}
	token.Begin[0].Capture = []step.Capture{{Name: "token", JSON: &capture}}
	for _, steps := range [][]step.Step{token.Steps, token.End} {
		for i := range steps {
			steps[i].Request.Header = http.Header{"Authorization": {"Bearer {{token}}"}}
		}
	}
	redirected := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got := httptest.NewRecorder()
			if next.ServeHTTP(got, r); got.Code == 401 && r.URL.Path != "/account" {
				http.Redirect(w, r, "/login", http.StatusSeeOther)
				return
			}
			for name, values := range got.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(got.Code)
			_, _ = w.Write(got.Body.Bytes())
		})
	}
	cart := Config{Name: "cart", Users: 4, Rounds: 3, Begin: []step.Step{send("POST", "/login", credentials), send("PUT", "/cart", `{"n": 2}`)}, Steps: []step.Step{get("/cart")}}
	for name, test := range map[string]struct {
		config   Config
		api, web http.Handler
		want     []string
	}{
		"a cookie": {buyer(), &app{store: newStore()}, &app{store: newStore()}, []string{
			"unknown session in switched: the session that api opened in monolith is unknown to web in switched: POST /login answers 200, then (GET /account|PUT /cart|GET /cart) 401",
			"unknown session in back: the session that web opened in switched is unknown to api in back: POST /login answers 200, then (GET /account|PUT /cart|GET /cart) 401"}},
		"a token": {token, &app{store: newStore()}, &app{store: newStore()}, []string{
			"unknown session in switched: the session that api opened in monolith is unknown to web in switched: POST /login answers 200, then (GET /account|PUT /cart|GET /cart) 401",
			"unknown session in back: the session that web opened in switched is unknown to api in back: POST /login answers 200, then (GET /account|PUT /cart|GET /cart) 401"}},
		"an empty cart": {cart, &app{newStore(), true}, &app{newStore(), true}, []string{
			"unknown session in switched: the session that api opened in monolith seems unknown to web in switched: POST /login answers 200, then GET /cart 200 \\(differs at byte 6: .*\\), and right in sessions that another service opened",
			"unknown session in back: the session that web opened in switched seems unknown to api in back: POST /login answers 200, then GET /cart 200 \\(differs at byte 6: .*\\), and right in sessions that another service opened"}},
		"a redirect": {Config{Name: "cart", Users: 2, Begin: cart.Begin, Steps: cart.Steps}, redirected(&app{store: newStore()}), redirected(&app{store: newStore()}), []string{
			"unknown session in switched: the session that api opened in monolith is unknown to web in switched: POST /login answers 200, then GET /cart 303",
			"unknown session in back: the session that web opened in switched is unknown to api in back: POST /login answers 200, then GET /cart 303"}},
	} {
		w, result := walk(t, test.config, test.api, test.web)
		var got []string
		for _, f := range result.Findings {
			got = append(got, fmt.Sprintf("%s in %s: %s", f.Kind, f.Stage, f.Text))
			if f.Count < 1 || f.Count > 4 || len(f.Detail) < 2 || !strings.HasSuffix(f.Detail[len(f.Detail)-1], " ←") {
				t.Errorf("%s: %+v", name, f)
			}
		}
		slices.Sort(got)
		slices.Sort(test.want)
		if !regexp.MustCompile("^" + strings.Join(test.want, "\n") + "$").MatchString(strings.Join(got, "\n")) {
			t.Errorf("%s: findings\n%s\nwant\n%s\nproblems %q", name, strings.Join(got, "\n"), strings.Join(test.want, "\n"), w.problems)
		}
		if n := len(w.problems); n < 2 || n > 8 {
			t.Errorf("%s: the users do not begin anew: %d problems", name, n)
		}
	}
}

// An answer that is wrong for everybody is no finding about sessions.
func TestWrongForAll(t *testing.T) {
	shared := newStore()
	api := &app{store: shared}
	_, result := walk(t, buyer(), api, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cart" {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"n": 3}`)
			return
		}
		api.ServeHTTP(w, r)
	}))
	if len(result.Findings) > 0 {
		t.Errorf("%+v", result.Findings)
	}
}

// An answer that is right only half of the time is no finding about sessions, either.
func TestWrongAtTimes(t *testing.T) {
	shared := newStore()
	api, n := &app{store: shared}, 0
	w, result := walk(t, buyer(), api, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cart" && r.Method == "GET" {
			if n++; n%3 == 0 {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"n": 3}`)
				return
			}
		}
		api.ServeHTTP(w, r)
	}))
	if len(result.Findings) > 0 || len(w.problems) == 0 {
		t.Errorf("%q, %+v", w.problems, result.Findings)
	}
}

// A session may end by itself if its time is known. If it is not, that is a finding of its own.
func TestExpiredSessions(t *testing.T) {
	for expires, want := range map[time.Duration]string{
		0:                "session ended: the session that api opened in monolith is unknown to api itself in monolith, after 31s: POST /login answers 200, then GET /account 401; if sessions end by themselves, write expires",
		40 * time.Second: "session ended: the session that api opened in monolith is unknown to api itself in monolith, after 31s: POST /login answers 200, then GET /account 401; if sessions end by themselves, write expires",
		30 * time.Second: "",
	} {
		synctest.Test(t, func(t *testing.T) {
			api := &app{store: newStore()}
			api.keeps = 30 * time.Second
			c := buyer()
			c.Expires = expires
			w := &world{t: t, services: map[string]http.Handler{"api": api}, serves: "api", target: "one", stage: "monolith", source: New(c)}
			if err := w.baseline(); err != nil {
				t.Fatal(err)
			}
			w.load(40, 0)
			time.Sleep(31 * time.Second)
			w.load(40, 0)
			result := w.result()
			switch {
			case want == "":
				if len(w.problems)+len(result.Findings) > 0 || !strings.HasSuffix(result.Checked[0], "; 4 sessions ended after 30s by themselves.") {
					t.Errorf("%q, %+v", w.problems, result)
				}
			case len(result.Findings) != 1 || !regexp.MustCompile(want).MatchString(result.Findings[0].Kind+": "+result.Findings[0].Text):
				t.Errorf("%q, %+v", w.problems, result.Findings)
			}
		})
	}
}

// Two tasks of one service may have sessions of their own.
func TestTasksApart(t *testing.T) {
	c := buyer()
	w := &world{t: t, services: map[string]http.Handler{"api": &app{store: newStore()}}, serves: "api", target: "one", stage: "monolith", source: New(c)}
	if err := w.baseline(); err != nil {
		t.Fatal(err)
	}
	w.load(60, 0)
	w.services["api"], w.target = &app{store: newStore()}, "two"
	w.load(60, 0)
	want := "the session that api opened in monolith is unknown to another task of api in monolith: POST /login answers 200, then (GET /account|PUT /cart|GET /cart) 401"
	if f := w.result().Findings; len(f) == 0 || f[0].Kind != unknownSession || !regexp.MustCompile(want).MatchString(f[0].Text) {
		t.Errorf("%+v", f)
	}
}

// A request without an answer ends its session, and is no finding.
func TestLostInASession(t *testing.T) {
	shared := newStore()
	w := &world{t: t, services: map[string]http.Handler{"api": &app{store: shared}}, serves: "api", stage: "monolith", source: New(buyer())}
	if err := w.baseline(); err != nil {
		t.Fatal(err)
	}
	w.load(50, 0)
	w.serves = "nobody"
	w.load(10, 0)
	w.serves = "api"
	problems := len(w.problems)
	w.load(50, 0)
	if result := w.result(); len(result.Findings) > 0 || len(w.problems) != problems {
		t.Errorf("%q, %+v", w.problems, result.Findings)
	}
	for _, asked := range w.asked[len(w.asked)-50:][:4] {
		if !strings.HasPrefix(asked, "POST /login") {
			t.Errorf("after a lost request, a session goes on with %s", asked)
		}
	}
}

// A page with a token of its own is compared without the token.
func TestTokenInAPage(t *testing.T) {
	page := get("/login")
	page.Capture = []step.Capture{{Name: "csrf", Match: regexp.MustCompile(`value="(\d+)"`)}}
	c := Config{Name: "page", Users: 2, Steps: []step.Step{page, get("/account?{{csrf}}")}}
	c.Steps[1].Expect.Status = []int{401}
	for _, test := range []struct {
		page string
		want int
	}{{`<input name="csrf" value="%d">`, 0}, {`<INPUT name="csrf" value="%d">`, 1}, {`<input name="csrf">`, 1}} {
		n := 0
		shared := newStore()
		w, _ := walk(t, c, &app{store: shared}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/login" {
				(&app{store: shared}).ServeHTTP(w, r)
				return
			}
			n++
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, strings.ReplaceAll(test.page, "%d", strconv.Itoa(n)))
		}))
		if len(w.problems) > 0 != (test.want > 0) {
			t.Errorf("%s: %q", test.page, w.problems)
		}
	}
}

// If all users wait, there are more. They go when their session is over.
func TestMoreUsers(t *testing.T) {
	shared := newStore()
	w := &world{t: t, services: map[string]http.Handler{"api": &app{store: shared}}, serves: "api", source: New(buyer())}
	if err := w.baseline(); err != nil {
		t.Fatal(err)
	}
	var calls []rehearsal.Call
	for range 20 {
		calls = append(calls, w.source.Next())
	}
	for _, call := range calls {
		call.Judge.Judge(w.answer(call.Request))
	}
	if n := len(w.source.ready); n != 20 {
		t.Errorf("%d users are ready, want 20", n)
	}
	w.load(20*9*2, -1)
	if n := len(w.source.ready); n != 4 {
		t.Errorf("%d users are ready, want 4", n)
	}
	for _, u := range w.source.ready {
		if u.row < 0 || u.row > 3 {
			t.Errorf("user %d", u.row)
		}
	}
}

// Rows give each user variables of its own.
func TestRows(t *testing.T) {
	c := buyer()
	c.Begin[0] = send("POST", "/login", `{"name": "{{name}}", "password": "{{password}}"}`)
	c.Rows = []step.Variables{{"name": "bob", "password": "pw-bob"}, {"name": "eve", "password": "pw-eve"}}
	shared := newStore()
	w, result := walk(t, c, &app{store: shared}, &app{store: shared})
	if len(w.problems)+len(result.Findings) > 0 {
		t.Errorf("%q, %+v", w.problems, result.Findings)
	}
	names := map[string]bool{}
	for _, name := range shared.users {
		names[name] = true
	}
	if !names["bob"] || !names["eve"] || len(names) != 2 {
		t.Errorf("users %v", names)
	}
}

// A session that does not work in the first phase is refused.
func TestBaselineRefuses(t *testing.T) {
	token, err := rehearsal.ParseJSONPath("$.nothing")
	if err != nil {
		t.Fatal(err)
	}
	captures := buyer()
	captures.Begin[0].Capture = []step.Capture{{Name: "x", JSON: &token}}
	wrong := buyer()
	wrong.Begin[0] = send("POST", "/login", `{"name": "ann", "password": "x"}`)
	missing := buyer()
	missing.Steps[0] = get("/none")
	other := buyer()
	other.Begin[0].Expect.Status = []int{201}
	foreign := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "sid=1; Domain=shop.example")
	})
	for want, test := range map[string]struct {
		config Config
		api    http.Handler
	}{
		"session buyer: POST /login answers with status 401, which says nothing about a session; if that is right, write status: 401: \"\"": {wrong, nil},
		"session buyer: GET /none answers with status 404":                                                                                              {missing, nil},
		"session buyer: POST /login answers with status 200, not 201":                                                                                   {other, nil},
		"session buyer: POST /login the answer with status 200 has no $.nothing for {{x}}":                                                              {captures, nil},
		"session buyer: POST /login gives the cookie sid for shop.example, which no browser takes from another host: give the steps host: shop.example": {buyer(), foreign},
		"session buyer: POST /login gives no answer: EOF":                                                                                               {buyer(), http.Handler(nil)},
	} {
		api := test.api
		if api == nil && !strings.HasSuffix(want, "EOF") {
			api = &app{store: newStore()}
		}
		w := &world{t: t, services: map[string]http.Handler{"api": api}, serves: "api", source: New(test.config)}
		if err := w.baseline(); err == nil || !strings.HasPrefix(strings.Replace(err.Error(), "GET ", "", 1), strings.Replace(want, "GET ", "", 1)) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

func TestCheck(t *testing.T) {
	c := buyer()
	c.Begin = append([]step.Step{get("/a/{{token}}")}, c.Begin...)
	c.Begin[1].Capture = []step.Capture{{Name: "token", Header: "X"}, {Name: "user", Header: "X"}}
	c.Steps = append(c.Steps, get("b"), get("/{{token}}/{{name}}/{{uuid}}/{{user}}"))
	c.End = append(c.End, get("/{{nobody}}"))
	c.Rows = []step.Variables{{"name": "a"}, {"name": "b", "more": 1}, {"other": "c"}, {"name": "d", "uuid": "e"}}
	var got []string
	c.Check(func(problem string, field ...string) { got = append(got, strings.Join(field, ".")+": "+problem) })
	slices.Sort(got)
	want := []string{
		"begin.0: there is no {{token}} yet: choose from user, uuid, name",
		"begin.1.capture.user: {{user}} has a meaning of its own: choose another name",
		"end.2: there is no {{nobody}} yet: choose from name, token, user, uuid",
		`steps.3.path: route "b": must be a path as in a request line, for example /api/users`,
		"variables.1: must have the variables of the first row",
		"variables.2: must have the variables of the first row",
		"variables.3: must have the variables of the first row",
		"variables.3: {{uuid}} has a meaning of its own: choose another name",
	}
	if !slices.Equal(got, want) {
		t.Errorf("problems\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	unsafe := Config{Begin: []step.Step{{Request: rehearsal.Request{Method: "POST", Path: "/a"}}, {Request: rehearsal.Request{Method: "POST", Path: "/b", Safe: true}}}, Steps: []step.Step{{Request: rehearsal.Request{Method: "PUT", Path: "/c"}}, {Request: rehearsal.Request{Method: "PUT", Path: "/c"}}}}
	if names := unsafe.Writes(); !slices.Equal(names, []string{"POST /a", "PUT /c"}) {
		t.Errorf("writes %q", names)
	}
}
