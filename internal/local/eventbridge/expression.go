package eventbridge

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Expression says when a schedule is due.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
type Expression struct {
	rate time.Duration // 0 if it is none
	once time.Time     // zero if it is none
	cron *cron         // nil if it is none
}

var (
	rateForm = regexp.MustCompile(`^rate\(([1-9][0-9]*) (minute|hour|day)(s?)\)$`)
	onceForm = regexp.MustCompile(`^at\((\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\)$`)
	cronForm = regexp.MustCompile(`^cron\((.*)\)$`)
)

// Parse reads a schedule expression. A rule has no at(…), a rate of 1 is in the singular there, and cron
// needs its year.
func Parse(text string, scheduler bool, zone *time.Location) (Expression, error) {
	if rate := rateForm.FindStringSubmatch(text); rate != nil {
		n, err := strconv.Atoi(rate[1])
		unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[rate[2]]
		every := time.Duration(n) * unit
		switch {
		case err != nil || every/unit != time.Duration(n):
			return Expression{}, fmt.Errorf("%q: the rate is too long", text)
		case !scheduler && (n == 1) != (rate[3] == ""):
			return Expression{}, fmt.Errorf("%q: the unit is in the singular for 1, and in the plural for more", text)
		}
		return Expression{rate: every}, nil
	}
	if once := onceForm.FindStringSubmatch(text); once != nil && scheduler {
		at, err := time.ParseInLocation("2006-01-02T15:04:05", once[1], zone)
		if err != nil {
			return Expression{}, fmt.Errorf("%q is no time", text)
		}
		return Expression{once: at}, nil
	}
	if fields := cronForm.FindStringSubmatch(text); fields != nil {
		c, err := parseCron(fields[1], scheduler, zone)
		if err != nil {
			return Expression{}, fmt.Errorf("%q: %w", text, err)
		}
		return Expression{cron: c}, nil
	}
	forms := "rate(VALUE UNIT) or cron(MINUTES HOURS DAY-OF-MONTH MONTH DAY-OF-WEEK YEAR)"
	if scheduler {
		forms = "at(YYYY-MM-DDTHH:MM:SS), " + forms
	}
	return Expression{}, fmt.Errorf("%q is no schedule expression: expected %s", text, forms)
}

// Next is when a schedule is due next after a time; zero for never. Rates count from the beginning.
func (e Expression) Next(begin, after time.Time) time.Time {
	switch {
	case e.rate > 0 && after.Before(begin):
		return begin
	case e.rate > 0:
		return begin.Add((after.Sub(begin)/e.rate + 1) * e.rate)
	case e.cron != nil:
		return e.cron.next(after)
	case e.once.After(after):
		return e.once
	}
	return time.Time{}
}

// cron is a cron expression of six fields.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cron-expressions.html
type cron struct {
	zone                          *time.Location
	minutes, hours, months, years map[int]bool
	// day says whether a day matches: by its number in the month or by its weekday.
	day func(day time.Time) bool
}

var (
	monthNames   = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	weekdayNames = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
)

const firstYear, lastYear = 1970, 2199

func parseCron(text string, scheduler bool, zone *time.Location) (*cron, error) {
	fields := strings.Fields(text)
	if len(fields) == 5 && scheduler {
		fields = append(fields, "*")
	}
	if len(fields) != 6 {
		return nil, fmt.Errorf("it has %d fields: expected minutes, hours, day of month, month, day of week, year", len(fields))
	}
	var errs []error
	read := func(i int, what string, from, to int, names []string) map[int]bool {
		set, err := list(fields[i], from, to, names)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
		return set
	}
	c := &cron{zone: zone}
	c.minutes, c.hours = read(0, "minutes", 0, 59, nil), read(1, "hours", 0, 23, nil)
	c.months, c.years = read(3, "month", 1, 12, monthNames), read(5, "year", firstYear, lastYear, nil)
	var err error
	switch {
	case (fields[2] == "?") == (fields[4] == "?"):
		err = errors.New("one of day of month and day of week must be ?, and the other must not")
	case fields[4] == "?":
		if c.day, err = dayOfMonth(fields[2]); err != nil {
			err = fmt.Errorf("day of month: %w", err)
		}
	default:
		if c.day, err = dayOfWeek(fields[4]); err != nil {
			err = fmt.Errorf("day of week: %w", err)
		}
	}
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return c, nil
}

// list reads values and ranges with steps, as in "1,10-20/5,*/7". A range may go over the end, as 20-2
// does in AWS's example of hours; a range of years may not.
func list(text string, from, to int, names []string) (map[int]bool, error) {
	set := map[int]bool{}
	for item := range strings.SplitSeq(text, ",") {
		values, step, stepped := strings.Cut(item, "/")
		every := 1
		if stepped {
			var err error
			if every, err = strconv.Atoi(step); err != nil || every < 1 {
				return nil, fmt.Errorf("%q: a step is a number above 0", item)
			}
		}
		first, last := from, to
		if values != "*" {
			low, high, ranged := strings.Cut(values, "-")
			var err error
			if first, err = value(low, from, to, names); err != nil {
				return nil, err
			}
			switch {
			case ranged:
				if last, err = value(high, from, to, names); err != nil {
					return nil, err
				}
			case !stepped:
				last = first
			}
			if last < first && to == lastYear {
				return nil, fmt.Errorf("%q: the range ends before it begins", item)
			} else if last < first {
				last += to - from + 1
			}
		}
		for n := first; n <= last; n += every {
			set[from+(n-from)%(to-from+1)] = true
		}
	}
	return set, nil
}

// value reads a number or a name.
func value(text string, from, to int, names []string) (int, error) {
	for i, name := range names {
		if strings.EqualFold(text, name) {
			return from + i, nil
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < from || n > to {
		return 0, fmt.Errorf("%q: expected a number from %d to %d", text, from, to)
	}
	return n, nil
}

// lastDay is the number of days of a day's month.
func lastDay(day time.Time) int {
	return time.Date(day.Year(), day.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// dayOfMonth reads a list, L for the last day, or 3W for the weekday nearest to the third day. AWS does
// not say whether the nearest weekday may be in another month; here it is in the same month.
func dayOfMonth(text string) (func(time.Time) bool, error) {
	if text == "L" {
		return func(day time.Time) bool { return day.Day() == lastDay(day) }, nil
	}
	if number, ok := strings.CutSuffix(text, "W"); ok {
		n, err := value(number, 1, 31, nil)
		return func(day time.Time) bool { return day.Day() == nearestWeekday(day, n) }, err
	}
	set, err := list(text, 1, 31, nil)
	return func(day time.Time) bool { return set[day.Day()] }, err
}

// nearestWeekday is the day from Monday to Friday nearest to a day of a month; 0 if the month is shorter.
func nearestWeekday(month time.Time, n int) int {
	last := lastDay(month)
	if n > last {
		return 0
	}
	switch time.Date(month.Year(), month.Month(), n, 0, 0, 0, 0, time.UTC).Weekday() {
	case time.Saturday:
		if n == 1 {
			return n + 2
		}
		return n - 1
	case time.Sunday:
		if n == last {
			return n - 2
		}
		return n + 1
	}
	return n
}

// dayOfWeek reads a list, L for the last day of the week, 6L for the last Friday of the month, or 3#2 for
// the second Tuesday. Days count from 1, Sunday.
func dayOfWeek(text string) (func(time.Time) bool, error) {
	if text == "L" {
		text = "SAT"
	}
	weekday := func(day time.Time) int { return int(day.Weekday()) + 1 }
	if name, ok := strings.CutSuffix(text, "L"); ok {
		n, err := value(name, 1, 7, weekdayNames)
		return func(day time.Time) bool { return weekday(day) == n && day.Day() > lastDay(day)-7 }, err
	}
	if name, instance, ok := strings.Cut(text, "#"); ok {
		n, err1 := value(name, 1, 7, weekdayNames)
		k, err2 := value(instance, 1, 5, nil)
		return func(day time.Time) bool { return weekday(day) == n && (day.Day()+6)/7 == k }, errors.Join(err1, err2)
	}
	set, err := list(text, 1, 7, weekdayNames)
	return func(day time.Time) bool { return set[weekday(day)] }, err
}

// next is the first minute after a time that matches; zero if there is none. A time that the clock skips
// is left out. Of a time that the clock repeats, the first one counts ("Daylight savings time on EventBridge
// Scheduler", https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html).
func (c *cron) next(after time.Time) time.Time {
	local := after.In(c.zone)
	for day := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC); day.Year() <= lastYear; day = day.AddDate(0, 0, 1) {
		if !c.years[day.Year()] || !c.months[int(day.Month())] || !c.day(day) {
			continue
		}
		for hour := range 24 {
			for minute := range 60 {
				if !c.hours[hour] || !c.minutes[minute] {
					continue
				}
				at := earliest(time.Date(day.Year(), day.Month(), day.Day(), hour, minute, 0, 0, c.zone))
				if at.After(after) && at.Hour() == hour && at.Minute() == minute {
					return at
				}
			}
		}
	}
	return time.Time{}
}

// earliest is the first of two times that look alike on a clock that is set back. [time.Date] gives either.
func earliest(at time.Time) time.Time {
	const longestShift = 3 * time.Hour
	_, offset := at.Zone()
	_, before := at.Add(-longestShift).Zone()
	if earlier := at.Add(time.Duration(offset-before) * time.Second); offset < before && earlier.Hour() == at.Hour() && earlier.Minute() == at.Minute() {
		return earlier
	}
	return at
}
