package strangler

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/aws/constructs-go/constructs/v10"

	"cutover/migration"
)

// wrong collects what is wrong with the properties of a construct.
type wrong struct {
	construct constructs.Construct
	all       []string
}

func (w *wrong) add(format string, args ...any) { w.all = append(w.all, fmt.Sprintf(format, args...)) }

// required refuses a property that is nil.
func (w *wrong) required(name string, value any) {
	if v := reflect.ValueOf(value); value == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		w.add("%s is required", name)
	}
}

// place reads the place that a property has; the monolith is the default.
func (w *wrong) place(property string, text *string) migration.Place {
	if text == nil {
		return migration.Place{}
	}
	place, err := migration.ParsePlace(*text)
	if err != nil {
		w.add("%s: %v", property, err)
	}
	return place
}

func (w *wrong) panicIfAny() {
	if len(w.all) > 0 {
		panic(fmt.Errorf("%s: %s", *w.construct.Node().Path(), strings.Join(w.all, "; ")))
	}
}
