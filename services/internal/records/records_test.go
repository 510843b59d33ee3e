package records

import (
	"reflect"
	"strings"
	"testing"
)

type city struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

func TestRead(t *testing.T) {
	got, err := Read[city](`{"rivers":[{"length":7}],"cities":[{"id":1,"name":"Øst"}]}`, "cities")
	if want := []city{{1, "Øst"}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Read = %v, %v, want %v", got, err, want)
	}
}

func TestReadErrors(t *testing.T) {
	for document, want := range map[string]string{
		``:                         "cannot be read",
		`{"rivers":[]}`:            `no table "cities"`,
		`{"cities":[]}`:            `"cities" is empty`,
		`{"cities":null}`:          `"cities" is empty`,
		`{"cities":[{"nme":"x"}]}`: `unknown field "nme"`,
		`{"cities":[{"id":"x"}]}`:  `"cities" cannot be read`,
	} {
		if _, err := Read[city](document, "cities"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Read(%s): error %v, want it to contain %s", document, err, want)
		}
	}
}
