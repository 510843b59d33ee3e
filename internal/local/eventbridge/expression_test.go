package eventbridge

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const form = "2006-01-02T15:04"

func at(t *testing.T, text string, zone *time.Location) time.Time {
	t.Helper()
	at, err := time.ParseInLocation(form, text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// The examples of AWS's pages on cron and rate expressions, and what their sentences say beyond.
func TestNext(t *testing.T) {
	for _, test := range []struct {
		expression string
		after      string
		want       []string // the next times, in the same form; "" ends them
	}{
		// Every day at 10:00, and a quarter past noon.
		{"cron(0 10 * * ? *)", "2027-02-27T10:00", []string{"2027-02-28T10:00", "2027-03-01T10:00"}},
		{"cron(15 12 * * ? *)", "2027-12-31T12:14", []string{"2027-12-31T12:15", "2028-01-01T12:15"}},
		{"cron(0 18 ? * MON-FRI *)", "2027-01-01T18:00", []string{"2027-01-04T18:00", "2027-01-05T18:00"}}, // a Friday
		{"cron(0 8 1 * ? *)", "2027-01-01T08:00", []string{"2027-02-01T08:00"}},
		{"cron(0/15 * * * ? *)", "2027-01-01T23:45", []string{"2027-01-02T00:00", "2027-01-02T00:15"}},
		{"cron(0/10 * ? * MON-FRI *)", "2027-01-01T23:50", []string{"2027-01-04T00:00"}},
		{"cron(0/5 8-17 ? * MON-FRI *)", "2027-01-01T17:55", []string{"2027-01-04T08:00"}},
		// Every half hour from 20:00 to 2:30, on the days themselves: AWS says of this example that it runs
		// from midnight to 2:00 on Monday morning.
		{"cron(0/30 20-2 ? * MON-FRI *)", "2027-01-01T02:30", []string{"2027-01-01T20:00", "2027-01-01T20:30"}},
		{"cron(0/30 20-2 ? * MON-FRI *)", "2027-01-01T23:30", []string{"2027-01-04T00:00"}},
		{"cron(0 0 ? * FRI-MON *)", "2027-01-03T00:00", []string{"2027-01-04T00:00", "2027-01-08T00:00"}},
		{"cron(0 0 1 NOV-JAN ? *)", "2027-01-01T00:00", []string{"2027-11-01T00:00", "2027-12-01T00:00", "2028-01-01T00:00"}},
		{"cron(50-10/20 0 1 1 ? *)", "2027-01-01T00:10", []string{"2027-01-01T00:50", "2028-01-01T00:10"}},
		{"cron(0 9 ? * 2#1 *)", "2027-01-01T00:00", []string{"2027-01-04T09:00", "2027-02-01T09:00"}},
		{"cron(0 10 ? * 6L 2022-2023)", "2022-01-01T00:00", []string{"2022-01-28T10:00", "2022-02-25T10:00"}},
		{"cron(0 10 ? * 6L 2022-2023)", "2023-12-29T10:00", []string{""}},

		{"cron(1/10 0 1 1 ? *)", "2027-01-01T00:00", []string{"2027-01-01T00:01", "2027-01-01T00:11", "2027-01-01T00:21"}},
		{"cron(*/20 * * * ? *)", "2027-01-01T00:00", []string{"2027-01-01T00:20", "2027-01-01T00:40", "2027-01-01T01:00"}},
		{"cron(10-30/10,59 0 1 1 ? *)", "2027-01-01T00:00", []string{"2027-01-01T00:10", "2027-01-01T00:20", "2027-01-01T00:30", "2027-01-01T00:59", "2028-01-01T00:10"}},
		{"cron(59 23 31 DEC ? *)", "2027-01-01T00:00", []string{"2027-12-31T23:59"}},
		{"cron(0 0 1 JAN,jul ? *)", "2027-01-01T00:00", []string{"2027-07-01T00:00", "2028-01-01T00:00"}},
		{"cron(0 0 L * ? *)", "2027-01-31T00:00", []string{"2027-02-28T00:00", "2027-03-31T00:00"}},
		{"cron(0 0 L 2 ? *)", "2027-03-01T00:00", []string{"2028-02-29T00:00"}},
		{"cron(0 0 31 * ? *)", "2027-01-31T00:00", []string{"2027-03-31T00:00"}},
		// 2 January 2027 is a Saturday, 3 January a Sunday; 1 May a Saturday; 31 October a Sunday.
		{"cron(0 0 2W 1 ? 2027)", "2027-01-01T00:00", []string{""}},
		{"cron(0 0 3W 1 ? 2027)", "2027-01-01T00:00", []string{"2027-01-04T00:00"}},
		{"cron(0 0 5W 1 ? 2027)", "2027-01-01T00:00", []string{"2027-01-05T00:00"}},
		{"cron(0 0 9W 1 ? 2027)", "2027-01-01T00:00", []string{"2027-01-08T00:00"}},
		{"cron(0 0 1W 5 ? 2027)", "2027-01-01T00:00", []string{"2027-05-03T00:00"}},
		{"cron(0 0 31W 10 ? 2027)", "2027-01-01T00:00", []string{"2027-10-29T00:00"}},
		{"cron(0 0 31W * ? 2027)", "2027-04-01T00:00", []string{"2027-05-31T00:00"}},
		{"cron(0 0 ? * L *)", "2027-01-01T00:00", []string{"2027-01-02T00:00", "2027-01-09T00:00"}},
		{"cron(0 0 ? * 1 *)", "2027-01-01T00:00", []string{"2027-01-03T00:00"}},
		{"cron(0 0 ? * 7 *)", "2027-01-01T00:00", []string{"2027-01-02T00:00"}},
		{"cron(0 0 ? * SUN,WED *)", "2027-01-01T00:00", []string{"2027-01-03T00:00", "2027-01-06T00:00"}},
		{"cron(0 0 ? * 1/3 *)", "2027-01-01T00:00", []string{"2027-01-02T00:00", "2027-01-03T00:00", "2027-01-06T00:00"}},
		{"cron(0 0 ? * 3#2 *)", "2027-01-01T00:00", []string{"2027-01-12T00:00", "2027-02-09T00:00"}},
		{"cron(0 0 ? * TUE#5 2027)", "2027-01-01T00:00", []string{"2027-03-30T00:00", "2027-06-29T00:00"}},
		{"cron(0 0 ? * FRIL *)", "2027-01-01T00:00", []string{"2027-01-29T00:00"}},
		{"cron(0 0 ? 9 6L 2027)", "2027-01-01T00:00", []string{"2027-09-24T00:00", ""}},
		{"cron(58/1 23 31 12 ? *)", "2027-01-01T00:00", []string{"2027-12-31T23:58", "2027-12-31T23:59", "2028-12-31T23:58"}},
		{"cron(0 0 ? 2 1L *)", "2027-01-01T00:00", []string{"2027-02-28T00:00"}},
		{"cron(0 0 ? * * *)", "2027-01-01T00:00", []string{"2027-01-02T00:00"}},
		{"cron(0 0 30 2 ? *)", "2027-01-01T00:00", []string{""}},
		{"cron(0 0 1 1 ? 2199)", "2027-01-01T00:00", []string{"2199-01-01T00:00", ""}},
		{"cron(0  0\t1 1 ? 2028/2)", "2027-01-01T00:00", []string{"2028-01-01T00:00", "2030-01-01T00:00"}},

		{"rate(1 minute)", "2027-01-01T00:00", []string{"2027-01-01T00:01", "2027-01-01T00:02"}},
		{"rate(5 minutes)", "2027-01-01T00:07", []string{"2027-01-01T00:10", "2027-01-01T00:15"}},
		{"rate(1 hour)", "2027-01-01T00:00", []string{"2027-01-01T01:00"}},
		{"rate(36 hours)", "2027-01-01T00:00", []string{"2027-01-02T12:00"}},
		{"rate(1 day)", "2027-01-01T23:59", []string{"2027-01-02T00:00"}},
		{"rate(7 days)", "2027-01-01T00:00", []string{"2027-01-08T00:00"}},
		{"rate(7 days)", "2026-12-31T23:59", []string{"2027-01-01T00:00"}}, // before the beginning
	} {
		e, err := Parse(test.expression, false, time.UTC)
		if err != nil {
			t.Error(err)
			continue
		}
		begin := at(t, "2027-01-01T00:00", time.UTC)
		now := at(t, test.after, time.UTC)
		for _, want := range test.want {
			now = e.Next(begin, now)
			got := ""
			if !now.IsZero() {
				got = now.Format(form)
			}
			if got != want {
				t.Errorf("%s after %s: %q, want %q", test.expression, test.after, got, test.want)
				break
			}
		}
	}
}

// In a time zone, a time that the clock skips is left out, and one that it repeats counts once.
func TestDaylightSaving(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ expression, after, want string }{
		{"cron(30 2 * * ? *)", "2027-03-26T03:00", "27 Mar 01:30Z, 29 Mar 00:30Z, 30 Mar 00:30Z"}, // 28 March has no 2:30
		{"cron(30 3 * * ? *)", "2027-03-26T04:00", "27 Mar 02:30Z, 28 Mar 01:30Z, 29 Mar 01:30Z"},
		{"cron(30 2 * * ? *)", "2027-10-29T03:00", "30 Oct 00:30Z, 31 Oct 00:30Z, 1 Nov 01:30Z"}, // 31 October has two
		{"cron(0/30 2 * * ? *)", "2027-10-31T00:00", "31 Oct 00:00Z, 31 Oct 00:30Z, 1 Nov 01:00Z"},
		{"cron(30 2 * * ?)", "2027-01-01T00:00", "1 Jan 01:30Z, 2 Jan 01:30Z, 3 Jan 01:30Z"},
		{"cron(0 0 * * ? *)", "2027-10-30T12:00", "30 Oct 22:00Z, 31 Oct 23:00Z, 1 Nov 23:00Z"},
		{"at(2027-07-01T12:00:00)", "2027-06-01T00:00", "1 Jul 10:00Z, , "},
		{"rate(1 day)", "2027-03-27T12:00", "28 Mar 11:00Z, 29 Mar 11:00Z, 30 Mar 11:00Z"},
	} {
		e, err := Parse(test.expression, true, berlin)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		now := at(t, test.after, berlin)
		begin := now
		for range 3 {
			text := ""
			if next := e.Next(begin, now); !next.IsZero() {
				now, text = next, next.UTC().Format("2 Jan 15:04Z")
			}
			got = append(got, text)
		}
		if text := strings.Join(got, ", "); text != test.want {
			t.Errorf("%s after %s: %s, want %s", test.expression, test.after, text, test.want)
		}
	}
}

func TestNoExpression(t *testing.T) {
	const forms = ` is no schedule expression: expected rate(VALUE UNIT) or cron(`
	for _, test := range []struct{ expression, want string }{
		{"", `""` + forms},
		{"rate(0 minutes)", forms},
		{"rate(-1 minutes)", forms},
		{"rate(1.5 hours)", forms},
		{"rate(5 seconds)", forms},
		{"rate(5  minutes)", forms},
		{"rate(5 minutes) ", forms},
		{"at(2027-01-01T00:00:00)", forms},
		{"rate(1 minutes)", `"rate(1 minutes)": the unit is in the singular for 1, and in the plural for more`},
		{"rate(5 minute)", `the unit is in the singular for 1`},
		{"rate(9999999999 days)", `the rate is too long`},
		{"rate(99999999999999999999 days)", `the rate is too long`},
		{"cron(0 10 * * ?)", `it has 5 fields: expected minutes, hours, day of month, month, day of week, year`},
		{"cron(0 10 * * ? * *)", `it has 7 fields`},
		{"cron(0 10 * * * *)", `one of day of month and day of week must be ?, and the other must not`},
		{"cron(0 10 ? * ? *)", `one of day of month and day of week must be ?`},
		{"cron(0 10 1 * MON *)", `one of day of month and day of week must be ?`},
		{"cron(60 10 * * ? *)", `minutes: "60": expected a number from 0 to 59`},
		{"cron(-1 10 * * ? *)", `minutes: "": expected a number from 0 to 59`},
		{"cron(0 24 * * ? *)", `hours: "24": expected a number from 0 to 23`},
		{"cron(0 ? * * ? *)", `hours: "?": expected`},
		{"cron(0 10 0 * ? *)", `day of month: "0": expected a number from 1 to 31`},
		{"cron(0 10 32 * ? *)", `day of month: "32"`},
		{"cron(0 10 32W * ? *)", `day of month: "32"`},
		{"cron(0 10 LW * ? *)", `day of month: "L"`},
		{"cron(0 10 L-3 * ? *)", `day of month: "L"`},
		{"cron(0 10 * 0 ? *)", `month: "0": expected a number from 1 to 12`},
		{"cron(0 10 * 13 ? *)", `month: "13"`},
		{"cron(0 10 * MAI ? *)", `month: "MAI"`},
		{"cron(0 10 ? * 0 *)", `day of week: "0": expected a number from 1 to 7`},
		{"cron(0 10 ? * 8 *)", `day of week: "8"`},
		{"cron(0 10 ? * 3#6 *)", `day of week: "6": expected a number from 1 to 5`},
		{"cron(0 10 ? * 3#0 *)", `day of week: "0": expected a number from 1 to 5`},
		{"cron(0 10 ? * 3#1,6#3 *)", `day of week: "1,6#3"`},
		{"cron(0 10 * * ? 2030-2027)", `year: "2030-2027": the range ends before it begins`},
		{"cron(0 10 * * ? 1969)", `year: "1969": expected a number from 1970 to 2199`},
		{"cron(0 10 * * ? 2200)", `year: "2200"`},
		{"cron(0/0 10 * * ? *)", `minutes: "0/0": a step is a number above 0`},
		{"cron(0/x 10 * * ? *)", `minutes: "0/x": a step`},
		{"cron(60 24 * * ? *)", `minutes: "60": expected a number from 0 to 59; hours: "24": expected`},
		{"cron(1,,2 10 * * ? *)", `minutes: ""`},
	} {
		if e, err := Parse(test.expression, false, time.UTC); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %+v, %v, want %s", test.expression, e, err, test.want)
		}
	}
	for _, expression := range []string{"rate(1 minutes)", "rate(5 minute)", "at(2027-01-01T00:00:00)"} {
		if _, err := Parse(expression, true, time.UTC); err != nil {
			t.Errorf("of EventBridge Scheduler: %v", err)
		}
	}
	for _, expression := range []string{"at(2027-02-30T00:00:00)", "at(2027-01-01)", "at(tomorrow)"} {
		if _, err := Parse(expression, true, time.UTC); err == nil || !strings.Contains(fmt.Sprint(err), "is no") {
			t.Errorf("%s: %v", expression, err)
		}
	}
}

// Whatever an expression is, it is read or refused, and the next time is later.
func FuzzParse(f *testing.F) {
	f.Add("cron(0/5 8-17 ? * MON-FRI *)")
	f.Add("cron(0 0 3W 2 ? 2028)")
	f.Add("rate(5 minutes)")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text, true, time.UTC)
		begin := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
		if next := e.Next(begin, begin); err == nil && !next.IsZero() && !next.After(begin) {
			t.Errorf("%s is due at %v after %v", text, next, begin)
		}
	})
}
