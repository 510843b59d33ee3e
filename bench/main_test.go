package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestTurns(t *testing.T) {
	var got []string
	b := &bench{ctx: t.Context()}
	if err := turns(b, 2, []string{"a", "b"}, func(round int, name string) error {
		got = append(got, name)
		return nil
	}); err != nil || !slices.Equal(got, []string{"a", "b", "b", "a"}) {
		t.Errorf("the turns are %q, %v", got, err)
	}
	if err := turns(b, 1, []string{"a"}, func(int, string) error { return errors.New("broken") }); err == nil || err.Error() != "a: broken" {
		t.Errorf("what fails: %v", err)
	}
}

func TestCompare(t *testing.T) {
	var r results
	for i := range 6 {
		r.add("X/services=4/app=go", figure{float64(1500+i) * 1e6, "ns/op"}, figure{3 << 20, "peak-B"})
		r.add("X/services=4/app=javascript", figure{float64(1000+i) * 1e6, "ns/op"}, figure{2 << 20, "peak-B"})
	}
	var out strings.Builder
	if err := r.compare(t.Context(), &out, t.TempDir(), "app", "javascript", "go"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"│ javascript │", "sec/op", "1.002 ± 0%   1.502 ± 0%  +49.88% (p=0.002 n=6)", "3.000Mi ± 0%  +50.00%"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "geomean") {
		t.Errorf("there is a mean of different things:\n%s", &out)
	}
}
