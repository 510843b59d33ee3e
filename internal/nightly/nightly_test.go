package nightly

import "testing"

func TestTest(t *testing.T) {
	for _, test := range []struct {
		nightly, ci string
		runs        bool
	}{{"", "", false}, {"1", "", true}, {"", "true", true}} {
		t.Setenv("CUTOVER_NIGHTLY", test.nightly)
		t.Setenv("CI", test.ci)
		ran := false
		t.Run("test", func(t *testing.T) {
			Test(t, "it does nothing")
			ran = true
		})
		if ran != (test.runs && !testing.Short()) {
			t.Errorf("%+v: the test ran: %v", test, ran)
		}
	}
}
