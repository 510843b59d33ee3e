package server

import "net/http"

// Routes returns the methods of each pattern that modules serve, without HEAD.
func Routes(modules ...Module) (map[string][]string, error) {
	rt, err := newRouter(modules...)
	routes := map[string][]string{}
	for _, t := range rt.routes {
		if t.get != nil {
			routes[t.pattern] = append(routes[t.pattern], http.MethodGet)
		}
		for _, w := range t.writes {
			routes[t.pattern] = append(routes[t.pattern], w.method)
		}
	}
	return routes, err
}
