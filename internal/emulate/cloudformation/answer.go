package cloudformation

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/google/uuid"
)

// answer writes an answer of the query protocol. The result points to an output of the SDK, or is nil.
func answer(w http.ResponseWriter, action string, result any, err error) {
	w.Header().Set("Content-Type", "text/xml")
	enc := xml.NewEncoder(w)
	defer enc.Flush()
	id := uuid.NewString()
	name := action + "Response"
	if err != nil {
		name = "ErrorResponse"
		w.WriteHeader(http.StatusBadRequest)
	}
	root := xml.StartElement{Name: xml.Name{Local: name},
		Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: "http://cloudformation.amazonaws.com/doc/2010-05-15/"}}}
	enc.EncodeToken(root)
	defer enc.EncodeToken(root.End())
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Code: "InternalFailure", Message: err.Error()}
		}
		element(enc, "Error", reflect.ValueOf(struct{ Type, Code, Message string }{"Sender", e.Code, e.Message}))
		element(enc, "RequestId", reflect.ValueOf(id))
		return
	}
	if result == nil {
		result = &struct{}{}
	}
	element(enc, action+"Result", reflect.ValueOf(result))
	element(enc, "ResponseMetadata", reflect.ValueOf(struct{ RequestId string }{id}))
}

// element writes a value as an element, unless it is not set.
func element(enc *xml.Encoder, name string, v reflect.Value) {
	if v.IsZero() {
		return
	}
	v = reflect.Indirect(v)
	start := xml.StartElement{Name: xml.Name{Local: name}}
	if t, ok := v.Interface().(time.Time); ok {
		enc.EncodeElement(t.UTC().Format("2006-01-02T15:04:05.000Z"), start)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		enc.EncodeToken(start)
		for field, value := range v.Fields() {
			if field.IsExported() && field.Name != "ResultMetadata" {
				element(enc, field.Name, value)
			}
		}
		enc.EncodeToken(start.End())
	case reflect.Slice:
		enc.EncodeToken(start)
		for i := range v.Len() {
			element(enc, "member", v.Index(i))
		}
		enc.EncodeToken(start.End())
	default:
		enc.EncodeElement(fmt.Sprint(v), start)
	}
}
