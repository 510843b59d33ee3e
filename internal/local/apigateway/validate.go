package apigateway

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"cutover/internal/model"
)

// schema compiles the schema of a body, which is of draft 4.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/models-mappings-models.html
func schema(m *model.APIModel) (*jsonschema.Schema, error) {
	if m.Schema == nil {
		return nil, m.Errorf("Schema", "it is not known, and bodies are validated by it")
	}
	const name = "model.json"
	document := m.Schema
	if text, ok := document.(string); ok {
		var err error
		if document, err = jsonschema.UnmarshalJSON(strings.NewReader(text)); err != nil {
			return nil, m.Errorf("Schema", "it is no JSON: %v", err)
		}
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft4)
	err := compiler.AddResource(name, document)
	if err == nil {
		var compiled *jsonschema.Schema
		if compiled, err = compiler.Compile(name); err == nil {
			return compiled, nil
		}
	}
	return nil, m.Errorf("Schema", "it cannot be read: %v", err)
}

// validate says what of a request the validator of its method refuses.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-request-validation.html
func validate(found *route, r *request) *refusal {
	v := found.method.Validator
	if v == nil {
		return nil
	}
	if v.Parameters {
		var missing []string
		for name, required := range found.method.Parameters {
			if required && strings.Join(r.values(found, nil, name), "") == "" {
				_, key := parameterName(name)
				missing = append(missing, key)
			}
		}
		if len(missing) > 0 {
			slices.Sort(missing)
			return &refusal{status: http.StatusBadRequest, kind: "BadRequestException", message: fmt.Sprintf("Missing required request parameters: [%s]", strings.Join(missing, ", "))}
		}
	}
	if !v.Body {
		return nil
	}
	contentType := "application/json"
	if sent, _, err := mime.ParseMediaType(r.header.Get("Content-Type")); err == nil {
		contentType = sent
	}
	m := found.method.Models[contentType]
	if m == nil {
		m = found.method.Models["$default"]
	}
	if m == nil {
		return nil
	}
	compiled, err := schema(m)
	if err == nil {
		var body any
		if body, err = jsonschema.UnmarshalJSON(bytes.NewReader(r.body)); err == nil {
			err = compiled.Validate(body)
		}
	}
	if err != nil {
		return &errBody
	}
	return nil
}
