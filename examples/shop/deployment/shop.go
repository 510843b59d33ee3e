// Package deployment lists what is deployed of the shop.
package deployment

import "cutover/config"

// Shop is a monolith and three services. All of them are one program in one image. The command says
// which part of the shop a service is; the monolith is all of it. The services run on all kinds of
// compute. For an order, orders asks carts through the load balancer, and carts asks products by Service
// Connect.
var Shop = config.Deployment{
	Monolith: program(config.Service{Name: "shop", Paths: []string{"/api*"}, Secrets: session, Environment: file, Volumes: data}),
	Services: []config.Service{
		program(config.Service{
			Name: "products", Paths: []string{"/api/products*"}, Order: 10, Command: []string{"node", "server.js", "products"},
			Compute: config.Fargate{}, Discovery: []config.Discovery{config.ServiceConnect{}},
		}),
		program(config.Service{
			Name: "carts", Paths: []string{"/api/carts*"}, Order: 20, Command: []string{"node", "server.js", "carts"}, Secrets: session,
			Compute: config.EC2{NetworkMode: "awsvpc"}, Calls: []string{"products"},
		}),
		program(config.Service{
			Name: "orders", Paths: []string{"/api/orders*"}, Order: 30, Command: []string{"node", "server.js", "orders"}, Secrets: session,
			Environment: file, Volumes: data, Calls: []string{"carts"}, // on EC2 in bridge mode, as the monolith
		}),
	},
	Requests: []string{
		"/api/products", "/api/products/1", "/api/products/5", "/api/products/6",
		"/api/carts", "/api/orders", "/api/orders/1", "/api/orders?page=1",
	},
}

var (
	// session is the key that signs the cookies of the browsers' sessions.
	session = map[string]config.Secret{"SESSION_SECRET": {SecretsManager: "shop/session"}}
	// data is the directory with the orders, which all tasks share.
	data = []config.Volume{{Name: "orders", Path: "/data"}}
	file = map[string]string{"ORDERS_FILE": "/data/orders.db"}
)

// program fills in what all services of the shop have.
func program(s config.Service) config.Service {
	s.Image = config.Dockerfile{Dir: "examples/shop/app"}
	s.Port = 8080
	s.HealthCheck.Path = "/healthz"
	s.User = "1000:1000" // node, as in the image
	s.WritablePaths = []config.WritablePath{{Path: "/tmp"}}
	return s
}
