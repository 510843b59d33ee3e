package rehearsal

import (
	"image/color"
	"slices"
)

// palette holds the colours of one appearance.
type palette struct {
	paper, ink, muted, grid, step, fault color.Color
	services                             []color.Color // the monolith's first
	status                               map[byte][]color.Color
	nobody, bad, good, doubt             color.Color
	p50, p99, worst                      color.Color
}

func hex(rgb uint32) color.Color {
	return color.NRGBA{uint8(rgb >> 16), uint8(rgb >> 8), uint8(rgb), 255}
}

func hexes(rgb ...uint32) []color.Color {
	var colors []color.Color
	for _, c := range rgb {
		colors = append(colors, hex(c))
	}
	return colors
}

var light = palette{
	paper: hex(0xffffff), ink: hex(0x1c2128), muted: hex(0x5c6570), grid: hex(0xe3e6ea), step: hex(0xf0f2f5), fault: hex(0xfdeaea),
	services: hexes(0x8b97a8, 0x2f7ed8, 0x17a08b, 0xe9a23b, 0x8a63c9, 0xc9628f, 0x6f8f2d),
	status:   map[byte][]color.Color{'2': hexes(0x7cc49b, 0xb4dfc6, 0x5aa87d), '3': hexes(0x9db7e8), '4': hexes(0xb9bfc8, 0xd3d7dd, 0x9aa2ad), '5': hexes(0xd63b3b, 0xe8736b, 0xa8202e)},
	nobody:   hex(0x5a1020), bad: hex(0xcf222e), good: hex(0x1a7f37), doubt: hex(0x9a6700),
	p50: hex(0x1f4e8c), p99: hex(0x7fb0e6), worst: hex(0xd5e5f7),
}

var dark = palette{
	paper: hex(0x14181d), ink: hex(0xe6eaef), muted: hex(0x9aa4b0), grid: hex(0x2a3038), step: hex(0x1e242b), fault: hex(0x3a1c20),
	services: hexes(0x77849a, 0x4a94e8, 0x2db39d, 0xd9962f, 0x9d7be0, 0xd979a3, 0x8fb043),
	status:   map[byte][]color.Color{'2': hexes(0x3f8f63, 0x2c6547, 0x5bb583), '3': hexes(0x5573a8), '4': hexes(0x59626d, 0x434a53, 0x747e8a), '5': hexes(0xf0524f, 0xf58a80, 0xc2303b)},
	nobody:   hex(0xff9aa8), bad: hex(0xff6b6b), good: hex(0x4cc26d), doubt: hex(0xe0b040),
	p50: hex(0x6cabf0), p99: hex(0x2f66a8), worst: hex(0x22384f),
}

// shown are the services with a colour of their own. The rest share one, because a
// chart has few colours. Of too many services, those of the baseline and those with
// a fault are shown.
func (r *Report) shown() (shown, rest []string) {
	most := len(light.services)
	if len(r.Services) <= most {
		return r.Services, nil
	}
	telling := slices.Clone(r.BaselineServices)
	for _, s := range r.Steps {
		if s.Fault != nil {
			telling = append(telling, s.Fault.Service)
		}
	}
	for _, name := range r.Services {
		if slices.Contains(telling, name) && len(shown) < most-1 {
			shown = append(shown, name)
		} else {
			rest = append(rest, name)
		}
	}
	return shown, rest
}

// others names what is drawn together.
func others(n int) string { return group(n) + " others" }

// service is a service's colour, by its place in the report.
func (c *chart) service(name string) color.Color {
	shown, rest := c.shown()
	if i := slices.Index(shown, name); i >= 0 {
		return c.services[i]
	}
	if slices.Contains(rest, name) {
		return c.services[len(shown)]
	}
	switch name {
	case byBalancer:
		return c.bad
	case byNobody:
		return c.nobody
	}
	return c.muted
}

// mix puts a colour over the paper, as if it were not quite opaque.
func mix(a, b color.Color) color.Color {
	ar, ag, ab, _ := a.RGBA()
	br, bg, bb, _ := b.RGBA()
	m := func(x, y uint32) uint8 { return uint8((x*2 + y*3) / 5 >> 8) }
	return color.NRGBA{m(ar, br), m(ag, bg), m(ab, bb), 255}
}
