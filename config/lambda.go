package config

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"

	"cutover/migration"
)

// IsFunction says whether the pair is a function, and has no tasks.
func (p Pair) IsFunction() bool { return Kind(p.Compute) == migration.Lambda }

// Function returns the pair of the service on Lambda, and whether there is one.
func (s Service) Function() (Pair, bool) {
	pairs := s.Pairs()
	i := slices.IndexFunc(pairs, Pair.IsFunction)
	if i < 0 {
		return Pair{}, false
	}
	return pairs[i], true
}

// Tasked says whether a pair of the service has tasks.
func (s Service) Tasked() bool {
	return slices.ContainsFunc(s.Pairs(), func(p Pair) bool { return !p.IsFunction() })
}

// FunctionsCall says whether the function of a service calls another service through a load balancer by the
// name that AWS gives it.
func (d Deployment) FunctionsCall(balancer string) bool {
	return slices.ContainsFunc(d.All(), func(s Service) bool {
		_, is := s.Function()
		return is && slices.ContainsFunc(s.Calls, func(name string) bool {
			callee, known := d.service(name)
			return known && callee.LoadBalancer == balancer
		})
	})
}

// Limits of a function.
const (
	leastFunctionMiB, mostFunctionMiB = 128, 10240
	mostFunctionSeconds               = 60   // the load balancer's idle timeout: later answers are 504
	mostConcurrency                   = 1000 // of an account, unless AWS raises it
)

// checkLambda refuses what a function cannot have.
func checkLambda(d Deployment, s Service, f Lambda, refuse func(string, ...any)) {
	inRange := func(field string, value, low, high int) {
		if value < low || value > high {
			refuse("Lambda.%s %d: it must be from %d to %d", field, value, low, high)
		}
	}
	// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
	inRange("MemoryMiB", f.MemoryMiB, leastFunctionMiB, mostFunctionMiB)
	inRange("TimeoutSeconds", f.TimeoutSeconds, 1, mostFunctionSeconds)
	inRange("Concurrency", f.Concurrency, 1, mostConcurrency)
	if _, isGo := s.Image.(GoPackage); isGo {
		if f.RuntimeClient {
			refuse("Lambda.RuntimeClient: a GoPackage has one, by server.Main: leave it out")
		}
		if len(s.Command) > 0 {
			refuse("Lambda: Command %q: a function gets no arguments: use a variable, or choose Fargate{}", s.Command)
		}
	} else {
		checkImageFunction(s, f, refuse)
	}
	if len(s.Sidecars) > 0 {
		refuse("Lambda: sidecar %q: a function is one program: remove the sidecars, or choose Fargate{}", s.Sidecars[0].Name)
	}
	if len(s.Volumes) > 0 {
		refuse("Lambda: volume %q: a function outside of the VPC reaches no file system: keep the data in DynamoDB{}, or choose Fargate{}", s.Volumes[0].Name)
	}
	for _, path := range s.WritablePaths {
		if path.Path != "/tmp" {
			refuse("Lambda: WritablePaths %s: a function may write to /tmp alone: use that, or choose Fargate{}", path.Path)
		}
	}
	if len(s.Ulimits) > 0 {
		refuse("Lambda: Ulimits %s: Lambda sets the limits of a function: remove it, or choose Fargate{}", s.Ulimits[0].Name)
	}
	for _, one := range s.Discovery {
		if _, balanced := one.(LoadBalancer); !balanced {
			refuse("Lambda: Discovery has %s, and a function has no address in the VPC: let callers find it by LoadBalancer{} alone", one.way())
		}
	}
	for _, name := range s.Calls {
		if callee, known := d.service(name); known && callee.namedFirst() {
			refuse("Lambda: Calls %q: it is found by %s, in the VPC, and a function is outside: let its Discovery begin with LoadBalancer{}", name, callee.Discovery[0].way())
		}
	}
	for _, owner := range d.StoresOf(s, migration.Position{}) {
		if _, database := owner.Store.(AuroraPostgreSQL); database {
			refuse("Lambda: the records of %q are in Aurora PostgreSQL, and a function has no connection to the database, which is in the VPC: choose DynamoDB{} for them, or Fargate{} for the service", owner.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		switch {
		case slices.Contains(lambdaVariables, name):
			refuse("Lambda: Environment has %s, which Lambda sets: remove it", name)
		case name == FromVariable:
			refuse("Lambda: Environment has %s, which says where the values of Secrets are: remove it, and use Secrets", name)
		case !functionVariableFormat.MatchString(name):
			refuse("Lambda: Environment %q: Lambda takes names of two characters or more that begin with a letter: rename it", name)
		}
	}
}

// checkImageFunction refuses what a function whose image brings its own client cannot have.
func checkImageFunction(s Service, f Lambda, refuse func(string, ...any)) {
	if !f.RuntimeClient {
		refuse("Lambda runs a program that asks Lambda for requests, and the image of the service listens on port %d: set RuntimeClient if the image brings a client of Lambda's Runtime API, or choose Fargate{} or EC2{}, or a GoPackage whose main is server.Main", s.Port)
		return
	}
	if image, is := s.Image.(Registry); is {
		if _, ecr := image.ECR(); !ecr {
			refuse("Lambda: Image %s: Lambda pulls images of private repositories of Amazon ECR alone: push it there, or use a Dockerfile{}", image.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Secrets)) {
		refuse("Lambda: Secrets %s: Lambda resolves no secrets, and only a GoPackage reads them when it starts: grant the program Permissions to read it, or choose Fargate{}", name)
	}
}

// functionVariableFormat matches the names that Lambda takes
// (https://docs.aws.amazon.com/lambda/latest/dg/API_Environment.html).
var functionVariableFormat = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]+$`)

// FromVariable is the variable with what a function reads when it starts: by variable, where the value is, as in
// the Secrets of a task definition.
const FromVariable = "CUTOVER_SECRETS"

// FunctionVariables are the variables of a service's function. Values may have placeholders. What is secret, and the
// address of a load balancer, which comes later, the function reads when it starts: the variable [FromVariable] says
// where.
func (d Deployment) FunctionVariables(service Service, s Settings) map[string]string {
	all, from := map[string]string{}, map[string]string{}
	maps.Copy(all, service.Environment)
	for _, owner := range d.StoresOf(service, s.Position) {
		all[owner.StoreVariable()] = owner.Table(s)
	}
	for name, secret := range service.Secrets {
		from[name], _ = secret.ARN()
		if secret.Key != "" {
			from[name] += ":" + secret.Key + "::"
		}
	}
	for _, call := range d.CallsOf(service, s.Position) {
		if s.byDomain(call) {
			all[call.Variable] = s.Scheme() + s.Domain
		} else {
			from[call.Variable], _ = s.URLParameter(call.Callee.LoadBalancer).ARN()
		}
	}
	if len(from) > 0 {
		text, _ := json.Marshal(from) // it has strings only
		all[FromVariable] = string(text)
	}
	return all
}

// byDomain says whether a function has the address for a call in a variable. Otherwise it reads the address.
func (s Settings) byDomain(call Call) bool { return s.Domain != "" && call.Callee.LoadBalancer == "" }

// URLParameter has the address of a load balancer in the environment.
func (s Settings) URLParameter(balancer string) Secret {
	name := "/" + s.Env + "/load-balancer-url"
	if balancer != "" {
		name += "-" + balancer
	}
	return Secret{Parameter: name}
}

// Scheme begins the address of a load balancer.
func (s Settings) Scheme() string {
	if s.CertificateARN != "" {
		return "https://"
	}
	return "http://"
}

// maxFunctionVariables is how many bytes the variables of a function may have
// (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const maxFunctionVariables = 4096

// checkFunctionVariables refuses more variables than a function can have. Placeholders count as they are written,
// which is as long as what AWS fills in at the most.
func checkFunctionVariables(d Deployment, s Settings, refuse func(string, ...any)) {
	for _, service := range d.All() {
		if _, is := service.Function(); !is {
			continue
		}
		for _, call := range d.CallsOf(service, s.Position) {
			if _, isGo := service.Image.(GoPackage); !isGo && !s.byDomain(call) {
				refuse("service %q: Lambda: Calls %q: only a GoPackage reads the address of a load balancer when it starts: set domain to a name that leads to the load balancer, or choose Fargate{}", service.Name, call.Callee.Name)
			}
		}
		// What AWS measures, as its error shows, is a JSON object.
		text, _ := json.Marshal(d.FunctionVariables(service, s))
		if n := len(text); n > maxFunctionVariables {
			refuse("service %q: Lambda: its variables, and where its secrets are, have %d bytes, and those of a function can have %d: keep long values in a parameter that the program reads, or choose Fargate{}", service.Name, n, maxFunctionVariables)
		}
	}
}

// lambdaVariables are variables that AWS refuses to set, as far as a service may have them.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
var lambdaVariables = []string{
	"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV",
	"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_LOG_GROUP_NAME",
	"AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
}
