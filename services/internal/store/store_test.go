package store

import (
	"strings"
	"testing"
)

// Every store takes a key of 1000 bytes, and none a longer one.
func TestKeys(t *testing.T) {
	for name, test := range map[string]struct {
		key  Key
		want string
	}{
		"right":     {Key{"users", "1"}, ""},
		"longest":   {Key{"users", strings.Repeat("한", 331) + "ab"}, ""},
		"too long":  {Key{"users", strings.Repeat("한", 331) + "abc"}, "a key has 1001 bytes: at most 1000 are allowed"},
		"no list":   {Key{"", "1"}, "a key has no list or no id"},
		"no id":     {Key{"users", ""}, "a key has no list or no id"},
		"zero":      {Key{"users", "1\x00"}, `the key "users/1\x00" is not UTF-8 without zeros`},
		"no UTF-8":  {Key{"us\xffers", "1"}, `the key "us\xffers/1" is not UTF-8 without zeros`},
		"cut UTF-8": {Key{"users", "한"[:2]}, `the key "users/\xed\x95" is not UTF-8 without zeros`},
	} {
		errs := map[string]error{
			"write": Check([]Change{{Item: Item{Key: test.key}}}), "read": checkKeys(Key{"users", "0"}, test.key), "list": checkList(test.key.List, test.key.ID),
		}
		if test.key.ID == "" {
			delete(errs, "list") // from the beginning
		}
		for call, err := range errs {
			if got := message(err); got != test.want {
				t.Errorf("%s, %s: %s, want %s", name, call, got, test.want)
			}
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
