package stacks_test

import (
	"testing"

	"cutover/config"
	"cutover/internal/assembly"
)

// synthOwn returns the assembly of [own], in a phase in which all services have tasks.
func synthOwn(t *testing.T) *assembly.Assembly {
	t.Helper()
	return synthDeployment(t, own(), settings{"phase": "parallel", "alarms": "on"})
}

// own is a deployment with every option that a service and a sidecar have: an image from a registry,
// one from a Dockerfile and a Go package.
func own() config.Deployment {
	nginx := config.Registry{Name: "public.ecr.aws/nginx/nginx:1.29"}
	return config.Deployment{
		Monolith: config.Service{
			Name: "shop", Paths: []string{"/api*"}, Port: 8080,
			Image:       config.Registry{Name: "registry.example.com:5000/team/shop@sha256:" + digest, Credentials: "arn:aws:secretsmanager:us-east-1:123456789012:secret:registry-AbCdEf"},
			HealthCheck: config.HealthCheck{Path: "/healthz", Command: []string{"CMD-SHELL", "wget -q -O- localhost:8080/healthz || exit 1"}},
			Volumes:     []config.Volume{{Name: "pictures", Path: "/pictures", ReadOnly: true}},
		},
		Services: []config.Service{
			{
				Name: "orders", Paths: []string{"/api/orders*"}, Order: 10, Port: 8081,
				Image: config.Dockerfile{
					Dir: "stacks/testdata/orders", File: "images/Dockerfile", Target: "release", Platform: "linux/amd64",
					BuildArgs: map[string]string{"GREETING": "hello"},
				},
				HealthCheck: config.HealthCheck{
					Path: "/ready?deep=1", Codes: "200-204,301", GracePeriodSeconds: 90, Command: []string{"CMD", "/orders", "--check"},
				},
				Command:     []string{"/orders", "--serve"},
				Environment: map[string]string{"TABLE": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/orders", "TEMPLATE": "${!name}, ${} and ${AWS"},
				Secrets: map[string]config.Secret{
					"PASSWORD": {SecretsManager: "shop/orders", Key: "password"},
					"SESSION":  {SecretsManager: "arn:aws:secretsmanager:us-east-1:123456789012:secret:session-AbCdEf", KMSKey: "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"},
					"LICENCE":  {Parameter: "/shop/licence"},
				},
				User:          "1000:1000",
				WritablePaths: []config.WritablePath{{Path: "/tmp"}, {Path: "/run/orders", SizeMiB: 8}},
				Volumes: []config.Volume{
					{Name: "data", Path: "/data"},
					{Name: "archive", Path: "/archive", ReadOnly: true, FileSystem: "fs-0123456789abcdef0", AccessPoint: "fsap-0123456789abcdef0"},
				},
				Sidecars: []config.Sidecar{
					{
						Name: "statsd", Image: config.Registry{Name: "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/statsd:2.1"},
						UDPPorts: []int{8125}, Ports: []int{8126}, CPU: 32, MemoryReservationMiB: 32, MemoryLimitMiB: 96,
						HealthCheck: []string{"CMD", "/statsd", "--check"},
					},
					{
						Name: "cache", Image: config.Dockerfile{Dir: "stacks/testdata/cache"}, Ports: []int{6379}, Essential: true,
						Command: []string{"/cache"}, Environment: map[string]string{"SIZE": "32"}, Secrets: map[string]config.Secret{"KEY": {Parameter: "cache-key"}},
						User: "999", WritablePaths: []config.WritablePath{{Path: "/var/run", SizeMiB: 16}},
						Volumes:   []config.Volume{{Name: "pictures", Path: "/pictures"}, {Name: "data", Path: "/data", ReadOnly: true}},
						Ulimits:   []config.Ulimit{{Name: "memlock", Soft: -1, Hard: -1}},
						DependsOn: []config.Dependency{{Container: "statsd"}},
					},
					{Name: "migrate", Image: nginx, Command: []string{"/bin/true"}},
				},
				DependsOn: []config.Dependency{
					{Container: "statsd", Condition: "HEALTHY"}, {Container: "cache"}, {Container: "migrate", Condition: "SUCCESS"},
				},
				Permissions: []config.Statement{
					{Actions: []string{"dynamodb:GetItem", "dynamodb:PutItem"}, Resources: []string{"arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/orders"}},
					{
						Actions: []string{"s3:GetObject"}, Resources: []string{"arn:aws:s3:::shop-pictures/*"}, Reason: "The pictures have the names that customers give them",
						Conditions: map[string]map[string][]string{"StringEquals": {"s3:ExistingObjectTag/public": {"yes"}}},
					},
				},
				Ulimits:                    []config.Ulimit{{Name: "nofile", Soft: 4096, Hard: 8192}},
				DeregistrationDelaySeconds: 60,
				StopTimeoutSeconds:         90,
				Alarms:                     config.Alarms{LatencyMilliseconds: 250, Errors: 3},
				CPU:                        128, MemoryReservationMiB: 192, MemoryLimitMiB: 384,
			},
			{Name: "pages", Paths: []string{"/api/pages*"}, Order: 20, Image: nginx},
			{Name: "users", Paths: []string{"/api/users*"}, Order: 30},
		},
	}
}

// digest is that of some image.
const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
