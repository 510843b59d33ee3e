package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
)

// TestLambdaMistakes has what a function cannot have. Each is refused where the service is on Lambda and where it goes
// there.
func TestLambdaMistakes(t *testing.T) {
	const tags = `service "tags": `
	on := func(change func(*config.Service)) func(*config.Deployment) {
		return runsOn(config.Lambda{}, nil, change)
	}
	client := func(change func(*config.Service)) func(*config.Deployment) {
		return runsOn(config.Lambda{RuntimeClient: true}, nil, change)
	}
	variables := func(all map[string]string) func(*config.Deployment) {
		return on(func(s *config.Service) { s.Environment = all })
	}
	calls := func(callee config.Discovery) func(*config.Deployment) {
		return func(d *config.Deployment) {
			on(func(s *config.Service) { s.Calls = []string{"users"} })(d)
			d.Services[0].Compute, d.Services[0].Discovery = config.Fargate{}, []config.Discovery{callee}
		}
	}
	long := strings.Repeat("x", 2000)
	testMistakes(t, []mistake{
		{name: "too little memory", change: runsOn(config.Lambda{MemoryMiB: 127}, nil, nil), want: tags + "Compute: Lambda.MemoryMiB 127: it must be from 128 to 10240"},
		{name: "too much of everything", change: runsOn(config.EC2{}, config.Lambda{MemoryMiB: 10241, TimeoutSeconds: 61, Concurrency: 1001}, nil),
			want: tags + "Next: Lambda.MemoryMiB 10241: it must be from 128 to 10240\n" + tags + "Next: Lambda.TimeoutSeconds 61: it must be from 1 to 60\n" + tags + "Next: Lambda.Concurrency 1001: it must be from 1 to 1000"},
		{name: "less than none", change: runsOn(config.Lambda{TimeoutSeconds: -1, Concurrency: -1}, nil, nil),
			want: tags + "Compute: Lambda.TimeoutSeconds -1: it must be from 1 to 60\n" + tags + "Compute: Lambda.Concurrency -1: it must be from 1 to 1000"},
		{name: "a pointer", change: runsOn(&config.Lambda{}, nil, nil), want: tags + "Compute: write EC2{}, Fargate{} or Lambda{}, which are values and no pointers"},
		{name: "next is the same", change: runsOn(config.Lambda{}, config.Lambda{MemoryMiB: 512}, nil), want: tags + "Next: the service is on lambda already: choose another compute, or remove Next"},
		{name: "next without a compute", change: runsOn(nil, config.Lambda{}, nil), want: tags + "Next: name the compute that the service moves from, too: Compute: config.EC2{}"},

		{name: "an image of a registry", change: on(func(s *config.Service) { s.Image = config.Registry{Name: web} }),
			want: tags + "Compute: Lambda runs a program that asks Lambda for requests, and the image of the service listens on port 3000: set RuntimeClient if the image brings a client of Lambda's Runtime API, or choose Fargate{} or EC2{}, or a GoPackage whose main is server.Main"},
		{name: "an image of a Dockerfile", change: runsOn(config.EC2{}, config.Lambda{}, func(s *config.Service) { s.Image, s.Port = config.Dockerfile{Dir: "tags"}, 8080 }),
			want: tags + "Next: Lambda runs a program that asks Lambda for requests, and the image of the service listens on port 8080: set RuntimeClient if the image brings a client of Lambda's Runtime API, or choose Fargate{} or EC2{}, or a GoPackage whose main is server.Main"},
		{name: "an image that Lambda cannot pull", change: client(func(s *config.Service) { s.Image = config.Registry{Name: web} }),
			want: tags + "Compute: Lambda: Image " + web + ": Lambda pulls images of private repositories of Amazon ECR alone: push it there, or use a Dockerfile{}"},
		{name: "secrets that no client reads", change: client(func(s *config.Service) {
			s.Image, s.Secrets = config.Dockerfile{Dir: "tags"}, map[string]config.Secret{"KEY": {Parameter: "key"}}
		}), want: tags + "Compute: Lambda: Secrets KEY: Lambda resolves no secrets, and only a GoPackage reads them when it starts: grant the program Permissions to read it, or choose Fargate{}"},
		{name: "calls of an image", change: client(func(s *config.Service) { s.Image, s.Calls = config.Dockerfile{Dir: "tags"}, []string{"users"} }),
			want: tags + `Lambda: Calls "users": only a GoPackage reads the address of a load balancer when it starts: set domain to a name that leads to the load balancer, or choose Fargate{}`},
		{name: "a client beside that of server.Main", change: client(nil), want: tags + "Compute: Lambda.RuntimeClient: a GoPackage has one, by server.Main: leave it out"},
		{name: "a sidecar", change: on(func(s *config.Service) {
			s.Sidecars = []config.Container{{Name: "proxy", Image: config.Registry{Name: web}}}
		}), want: tags + `Compute: Lambda: sidecar "proxy": a function is one program: remove the sidecars, or choose Fargate{}`},
		{name: "a volume", change: on(func(s *config.Service) { s.Volumes = []config.Volume{{Name: "data", Path: "/data"}} }),
			want: tags + `Compute: Lambda: volume "data": a function outside of the VPC reaches no file system: keep the data in DynamoDB{}, or choose Fargate{}`},
		{name: "a writable path", change: on(func(s *config.Service) { s.WritablePaths = []config.WritablePath{{Path: "/tmp"}, {Path: "/run"}} }),
			want: tags + "Compute: Lambda: WritablePaths /run: a function may write to /tmp alone: use that, or choose Fargate{}"},
		{name: "limits", change: on(func(s *config.Service) { s.Ulimits = []config.Ulimit{{Name: "nofile", Soft: 1024, Hard: 1024}} }),
			want: tags + "Compute: Lambda: Ulimits nofile: Lambda sets the limits of a function: remove it, or choose Fargate{}"},
		{name: "arguments", change: on(func(s *config.Service) { s.Command = []string{"--serve", "all"} }),
			want: tags + `Compute: Lambda: Command ["--serve" "all"]: a function gets no arguments: use a variable, or choose Fargate{}`},

		{name: "found by Service Connect", change: on(func(s *config.Service) { s.Discovery = []config.Discovery{config.ServiceConnect{}} }),
			want: tags + "Compute: Lambda: Discovery has ServiceConnect, and a function has no address in the VPC: let callers find it by LoadBalancer{} alone"},
		{name: "found by Cloud Map, too", change: on(func(s *config.Service) { s.Discovery = []config.Discovery{config.LoadBalancer{}, config.CloudMap{}} }),
			want: tags + "Compute: Lambda: Discovery has CloudMap, and a function has no address in the VPC: let callers find it by LoadBalancer{} alone"},
		{name: "calls by Cloud Map", change: calls(config.CloudMap{}),
			want: tags + `Compute: Lambda: Calls "users": it is found by CloudMap, in the VPC, and a function is outside: let its Discovery begin with LoadBalancer{}`},
		{name: "calls by Service Connect", change: calls(config.ServiceConnect{}),
			want: tags + `Compute: Lambda: Calls "users": it is found by ServiceConnect, in the VPC, and a function is outside: let its Discovery begin with LoadBalancer{}`},
		{name: "a database", change: on(func(s *config.Service) { s.Store = config.AuroraPostgreSQL{} }),
			want: tags + `Compute: Lambda: the records of "tags" are in Aurora PostgreSQL, and a function has no connection to the database, which is in the VPC: choose DynamoDB{} for them, or Fargate{} for the service`},
		{name: "a database by the setting", context: context{"store": "postgres"}, change: func(d *config.Deployment) { d.Services[0].Compute = config.Lambda{} },
			want: `service "users": Compute: Lambda: the records of "users" are in Aurora PostgreSQL, and a function has no connection to the database, which is in the VPC: choose DynamoDB{} for them, or Fargate{} for the service`},
		{name: "the monolith with the database of a service", change: func(d *config.Deployment) {
			d.Monolith.Compute, d.Services[1].Store = config.Lambda{}, config.AuroraPostgreSQL{}
		}, want: `service "api": Compute: Lambda: the records of "threads" are in Aurora PostgreSQL, and a function has no connection to the database, which is in the VPC: choose DynamoDB{} for them, or Fargate{} for the service`},

		{name: "variables of Lambda", change: variables(map[string]string{"AWS_REGION": "x", "AWS_LAMBDA_RUNTIME_API": "x", "LEVEL": "x"}),
			want: tags + "Compute: Lambda: Environment has AWS_LAMBDA_RUNTIME_API, which Lambda sets: remove it\n" + tags + "Compute: Lambda: Environment has AWS_REGION, which Lambda sets: remove it"},
		{name: "the variable of secrets", change: variables(map[string]string{"CUTOVER_SECRETS": "{}"}),
			want: tags + "Compute: Lambda: Environment has CUTOVER_SECRETS, which says where the values of Secrets are: remove it, and use Secrets"},
		{name: "names that Lambda does not take", change: variables(map[string]string{"_LEVEL": "x", "A": "x", "AB": "x"}),
			want: tags + `Compute: Lambda: Environment "A": Lambda takes names of two characters or more that begin with a letter: rename it` + "\n" +
				tags + `Compute: Lambda: Environment "_LEVEL": Lambda takes names of two characters or more that begin with a letter: rename it`},
		{name: "long variables", change: variables(map[string]string{"ONE": long, "TWO": long + strings.Repeat("y", 78)}),
			want: tags + "Lambda: its variables, and where its secrets are, have 4097 bytes, and those of a function can have 4096: keep long values in a parameter that the program reads, or choose Fargate{}"},
		{name: "long names of secrets", change: runsOn(config.EC2{}, config.Lambda{}, func(s *config.Service) {
			s.Environment = map[string]string{"ONE": long, "TWO": long[:1900]}
			s.Secrets = map[string]config.Secret{"PASSWORD": {SecretsManager: strings.Repeat("s", 100), Key: "password"}}
		}), want: tags + "Lambda: its variables, and where its secrets are, have 4147 bytes, and those of a function can have 4096: keep long values in a parameter that the program reads, or choose Fargate{}"},

		{name: "a stack of the function's name", change: func(d *config.Deployment) {
			with(config.Service{Name: "users-function", Paths: []string{"/f"}, Order: 51})(d)
			d.Services[0].Compute, d.Services[0].Next = config.EC2{}, config.Lambda{}
		}, want: `service "users-function": its stack is called UsersFunction, like that of the function of "users": rename one`},
		// The name of the function has 64 characters at the most, that of its target group 32: the first is no limit.
		{name: "a long name", change: with(config.Service{Name: "recommendations-for-you-all", Paths: []string{"/r"}, Order: 51, Compute: config.EC2{}, Next: config.Lambda{}}),
			want: `the first load balancer: the target group's name "recommendations-for-you-all-lambda" has 34 characters: at most 32 are allowed`},
		{name: "a target group of the function's name", change: func(d *config.Deployment) {
			with(config.Service{Name: "users-lambda", Paths: []string{"/l"}, Order: 51})(d)
			d.Services[0].Compute = config.Lambda{}
		}, want: `service "users": on lambda it is called "users-lambda", like another service: rename one`},
		{name: "too many functions", change: func(d *config.Deployment) {
			services(30)(d)
			for i := range d.Services {
				d.Services[i].Compute = config.Lambda{}
			}
		}, want: "the first load balancer: 30 of its services name their Compute: the stack that refuses a compute out of turn has room for 71, or for 29 on Lambda: put some services behind another load balancer, or remove Compute where it is EC2{}"},
		{name: "a place of another way", change: runsOn(config.EC2{}, config.Lambda{}, nil), context: context{"compute": "tags=lambda"},
			want: `compute: tags: "lambda" is not a place between two kinds of compute: choose one of parallel, a share as in 10%, switched or retired`},
	})
}

// TestLambda loads what may be a function, with its defaults. What is about tasks is kept for the way back.
func TestLambda(t *testing.T) {
	for name, change := range map[string]func(*config.Deployment){
		"alone":       runsOn(config.Lambda{}, nil, nil),
		"there":       runsOn(config.EC2{}, config.Lambda{}, nil),
		"back":        runsOn(config.Lambda{}, config.Fargate{}, nil),
		"from awsvpc": runsOn(config.EC2{NetworkMode: "awsvpc"}, config.Lambda{}, nil),
		"all that a function may have": runsOn(config.Lambda{MemoryMiB: 10240, TimeoutSeconds: 60, Concurrency: 1000}, nil, func(s *config.Service) {
			s.Store, s.Calls, s.LoadBalancer = config.DynamoDB{}, []string{"users"}, "press"
			s.Tasks, s.MaxTasks, s.TargetCPUPercent, s.User, s.StopTimeoutSeconds = 2, 4, 50, "1:1", 30
			s.WritablePaths = []config.WritablePath{{Path: "/tmp"}}
			s.Secrets = map[string]config.Secret{"PASSWORD": {SecretsManager: "shop/tags", Key: "password"}, "LICENCE": {Parameter: "/shop/licence"}}
			s.Permissions = []config.Statement{{Actions: []string{"sqs:SendMessage"}, Resources: []string{"arn:aws:sqs:us-east-1:123456789012:tags"}}}
		}),
		"as many variables as there may be": runsOn(config.Lambda{}, nil, func(s *config.Service) {
			s.Environment = map[string]string{"ONE": strings.Repeat("x", 4096-len(`{"ONE":""}`))}
		}),
		"the monolith behind two load balancers": func(d *config.Deployment) {
			runsOn(nil, nil, func(s *config.Service) { s.LoadBalancer = "press" })(d)
			d.Monolith.Compute = config.Lambda{}
		},
		"29 functions": func(d *config.Deployment) {
			services(29)(d)
			for i := range d.Services {
				d.Services[i].Compute = config.Lambda{}
			}
		},
		"database of a service beside it": func(d *config.Deployment) {
			runsOn(config.Lambda{}, nil, nil)(d)
			d.Services[0].Store = config.AuroraPostgreSQL{}
		},
	} {
		d := forum()
		change(&d)
		d, _, err := config.Load(d, nil, os.Getenv)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := []config.Pair{{Name: "tags-lambda", Compute: config.Lambda{MemoryMiB: 256, TimeoutSeconds: 10, Concurrency: 50}}, {Name: "tags-fargate", Compute: d.Services[2].Next}}
		if diff := cmp.Diff(want, d.Services[2].Pairs()); name == "back" && diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
