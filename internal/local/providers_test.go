package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

const lampType = "Example::Home::Lamp"

// lamps is a provider of a made-up type: lamps with a colour, of which the stacks
// of one assembly may not have two alike.
type lamps struct {
	mu   sync.Mutex
	lit  provider.Resources[string] // their colours
	told []string
	off  bool
}

type lampPlan struct {
	*lamps
	colours provider.Resources[string]
}

func (l *lamps) tell(format string, args ...any) {
	l.told = append(l.told, fmt.Sprintf(format, args...))
}

func (l *lamps) Types() []string { return []string{lampType} }

func (l *lamps) Plan(m *model.Model, _ provider.Text) provider.Plan {
	p := &lampPlan{lamps: l, colours: provider.Resources[string]{}}
	for _, lamp := range m.Assembly.Resources(lampType) {
		p.colours[lamp.String()], _ = lamp.Properties["Colour"].(string)
	}
	return p
}

func (l *lamps) Status() any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lit
}

func (l *lamps) Stop(context.Context) error {
	l.off = true
	return nil
}

func (p *lampPlan) Check() error {
	var errs []error
	for _, key := range p.colours.Keys() {
		if p.colours[key] == "black" {
			errs = append(errs, fmt.Errorf("%s: a black lamp gives no light", key))
		}
	}
	return errors.Join(errs...)
}

// Attribute gives the URL of a lamp, which exists once the lamp is lit.
func (p *lampPlan) Attribute(ref assembly.Ref) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch colour, lit := p.lit[ref.Resource.String()]; {
	case ref.Attribute != "Url":
		return nil, provider.NotGiven(ref)
	case !lit:
		return nil, provider.ErrNotYet
	default:
		return "lamp:" + colour, nil
	}
}

func (p *lampPlan) Update(_ context.Context, stack string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, colour := range p.colours.Of(stack) {
		p.tell("%s becomes %s", key, colour)
	}
	p.lit = p.lit.Updated(stack, p.colours)
	return nil
}

func (p *lampPlan) Clean(_ context.Context, stack string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range p.lit.Of(stack).Keys() {
		if _, kept := p.colours[key]; !kept {
			p.tell("%s goes", key)
		}
	}
	p.lit = p.lit.Cleaned(stack, p.colours)
	return nil
}

// A new kind of resource is one line in the list, and takes part in everything.
func TestNewKind(t *testing.T) {
	t.Parallel()
	l := &lamps{}
	d := &deployment{t: t}
	options := d.options(stateDir(t), shopCommands(t))
	options.kinds = slices.Insert(slices.Clone(kinds), 1, func(*Runner) provider.Provider { return l })
	r, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	d.Runner = r
	lamp := func(stack, id, colour string) func(templates) {
		return func(a templates) {
			a[stack]["Resources"].(map[string]any)[id] = map[string]any{"Type": lampType, "Properties": map[string]any{"Colour": colour}}
		}
	}
	check := func(what string, told, lit string) {
		t.Helper()
		status := d.Status()
		if got := strings.Join(l.told, ", "); got != told {
			t.Errorf("%s: %q, want %q", what, got, told)
		}
		if got := fmt.Sprint(status.Others...); got != lit {
			t.Errorf("%s: the status is %s, want %s", what, got, lit)
		}
		if status.NotRun[lampType] != 0 {
			t.Errorf("%s: lamps are said not to run here", what)
		}
		l.told = nil
	}

	d.refuse(shop(t, templates.still, lamp("ShopPlatform", "Hall", "red"), lamp("ShopBasket", "Desk", "black")), "cannot be run here", "ShopBasket/Desk: a black lamp gives no light")
	check("refused", "", "map[]")
	if events := d.told(); len(events) > 0 {
		t.Errorf("something was begun: %v", events)
	}
	d.deploy(shop(t, templates.still, lamp("ShopPlatform", "Hall", "red"), lamp("ShopBasket", "Desk", "blue")))
	check("deployed", "ShopPlatform/Hall becomes red, ShopBasket/Desk becomes blue", "map[ShopBasket/Desk:blue ShopPlatform/Hall:red]")
	d.deploy(shop(t, templates.still, lamp("ShopPlatform", "Hall", "red"), lamp("ShopBasket", "Shelf", "green")))
	check("replaced", "ShopPlatform/Hall becomes red, ShopBasket/Shelf becomes green, ShopBasket/Desk goes", "map[ShopBasket/Shelf:green ShopPlatform/Hall:red]")

	// A provider after it in the list fails, and the stack is what it was.
	priority := func(a templates) {
		resources := a["ShopBasket"]["Resources"].(map[string]any)
		for _, resource := range resources {
			delete(resource.(map[string]any), "DependsOn")
		}
		resources["Again"] = resources["Write20B66CD8"]
		delete(resources, "Write20B66CD8")
	}
	d.refuse(shop(t, templates.still, priority, lamp("ShopPlatform", "Hall", "red"), lamp("ShopBasket", "Desk", "white")), "ShopBasket", "is in use by")
	check("rolled back", "ShopPlatform/Hall becomes red, ShopBasket/Desk becomes white, ShopBasket/Shelf becomes green, ShopBasket/Desk goes", "map[ShopBasket/Shelf:green ShopPlatform/Hall:red]")

	d.deploy(shop(t, templates.still))
	check("removed", "ShopPlatform/Hall goes, ShopBasket/Shelf goes", "map[]")
	if err := d.Stop(t.Context()); err != nil || !l.off {
		t.Errorf("stopped: %v, %v", l.off, err)
	}
}
