// Package workload makes the workloads of rehearsals, from paths and from routes files.
//
// A routes file is YAML. The schema in routes.schema.json has its keys, for editors as well:
//
//	requests:
//	  - path: /api/products
//	    weight: 3
//	  - method: POST
//	    path: /api/orders
//	    headers: {X-Tenant: blue}
//	    json: {product: 1, quantity: 2}
//	    status: 201
//	    ignore: {json: [$.id], headers: [Location]}
//	collections:
//	  - name: note
//	    create: {path: /api/notes, json: {text: "{{value}}"}}
//	    read: {path: "/api/notes/{{id}}"}
//	    delete: {path: "/api/notes/{{id}}"}
//	ignore:
//	  json: [$.generatedAt]
package workload
