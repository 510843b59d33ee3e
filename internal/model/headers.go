package model

import "cutover/internal/assembly"

// responseHeaders are the headers that a listener can add, by the names of their attributes.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/header-modification.html#insert-header
var responseHeaders = map[string]string{
	"strict_transport_security":        "Strict-Transport-Security",
	"access_control_allow_origin":      "Access-Control-Allow-Origin",
	"access_control_allow_methods":     "Access-Control-Allow-Methods",
	"access_control_allow_headers":     "Access-Control-Allow-Headers",
	"access_control_allow_credentials": "Access-Control-Allow-Credentials",
	"access_control_expose_headers":    "Access-Control-Expose-Headers",
	"access_control_max_age":           "Access-Control-Max-Age",
	"content_security_policy":          "Content-Security-Policy",
	"x_content_type_options":           "X-Content-Type-Options",
	"x_frame_options":                  "X-Frame-Options",
}

// added are the headers that the attributes of a listener add. An empty value adds none.
func added(attributes assembly.Value) map[string][]string {
	headers := map[string][]string{}
	for attribute, header := range responseHeaders {
		if value := attributes.Field("routing.http.response." + attribute + ".header_value").Text(""); value != "" {
			headers[header] = []string{value}
		}
	}
	return headers
}
