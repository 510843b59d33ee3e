package documents_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// What a partition of DynamoDB serves in a second, from "DynamoDB burst and adaptive capacity" in the developer
// guide: 1,000 write units and 3,000 read units, also for a single item.
const (
	partitionWrites = 1000
	partitionReads  = 3000
)

// What the requests of the simulation are, and what an item costs. A transaction takes twice the units of its
// items, rounded up to 1 KB each; a strongly consistent read takes a unit for each 4 KB, rounded up
// ("DynamoDB read and write operations").
const (
	growthSeed   = 17
	today        = 10   // requests per second that the growth multiplies
	growthBirths = 0.30 // share of the requests that create a post
	growthGets   = 0.60 // share that read one; the rest list a thread
	listed       = 20   // posts of a thread
	headWrites   = 4    // a post of up to 2 KB
	indexWrites  = 2    // an index item or the idempotency record
	headReads    = 1    // a post of up to 4 KB
	// sample is how many requests are drawn for a round. More of them are counted as multiples of these.
	sample = 4000
	rounds = 25 // chances to split partitions
)

// place is where an item is: lists are spread by a hash, and the items of a list are in the order of their ids.
type place struct {
	list uint64
	id   uint64
}

func (p place) compare(other place) int {
	return cmp.Or(cmp.Compare(p.list, other.list), cmp.Compare(p.id, other.id))
}

// table is a table whose partitions begin at these places.
type table []place

// heat is the load of one place or partition, in units per second.
type heat struct{ writes, reads float64 }

func (h heat) over() float64 { return max(h.writes/partitionWrites, h.reads/partitionReads) }

// partitions returns the load of each partition.
func (t table) partitions(load map[place]heat) []heat {
	sum := make([]heat, len(t))
	for p, h := range load {
		i, exact := slices.BinarySearchFunc(t, p, place.compare)
		if !exact {
			i--
		}
		sum[i].writes += h.writes
		sum[i].reads += h.reads
	}
	return sum
}

// split splits each partition that was too hot, near the middle of its load: between two lists, or in its only
// list. AWS says that it splits, and not where. So this is what a good split reaches.
func (t table) split(load map[place]heat) table {
	keys := slices.SortedFunc(maps.Keys(load), place.compare)
	next := slices.Clone(t)
	for i, sum := range t.partitions(load) {
		end, _ := slices.BinarySearchFunc(keys, t[i], place.compare)
		first := keys[end:]
		if i+1 < len(t) {
			end, _ := slices.BinarySearchFunc(first, t[i+1], place.compare)
			first = first[:end]
		}
		if sum.over() <= 1 || len(first) < 2 {
			continue
		}
		lists := first[0].list != first[len(first)-1].list
		passed, best, middle := heat{}, first[0], 1.0
		for at, p := range first {
			off := math.Abs(passed.over()/sum.over() - 0.5)
			if at > 0 && off < middle && (!lists || first[at-1].list != p.list) {
				best, middle = p, off
			}
			passed = heat{passed.writes + load[p].writes, passed.reads + load[p].reads}
		}
		next = append(next, best)
	}
	slices.SortFunc(next, place.compare)
	return slices.Compact(next)
}

// traffic is a seeded source of the requests to the service posts. Ids come from a counter, so new posts are
// the last ones of their list.
type traffic struct {
	random *rand.Rand
	recent *rand.Zipf // which post is read, counted from the newest
	lists  uint64     // lists that the posts are spread over
	newest uint64
}

func newTraffic(lists uint64) *traffic {
	random := rand.New(rand.NewPCG(growthSeed, lists))
	return &traffic{random, rand.NewZipf(random, 1.1, 10, 999_999), lists, 1_000_000}
}

// The lists of a table.
const (
	heads = iota
	inThread
	byUser
	idempotency
	counter
)

// in is the place of an item in a list; the last number says which of the lists of a kind.
func in(kind uint64, id, list uint64) place {
	return place{rand.NewPCG(kind, list).Uint64(), id}
}

func (t *traffic) head(id uint64) place { return in(heads, id, id%t.lists) }

// second returns the load of one second.
func (t *traffic) second(requests float64) map[place]heat {
	load := map[place]heat{}
	weight := requests / sample
	add := func(p place, writes, reads float64) {
		h := load[p]
		load[p] = heat{h.writes + writes*weight, h.reads + reads*weight}
	}
	for range sample {
		switch kind := t.random.Float64(); {
		case kind < growthBirths:
			t.newest++
			add(t.head(t.newest), headWrites, 0)
			add(in(inThread, t.newest, t.random.Uint64N(50_000)), indexWrites, 0)
			add(in(byUser, t.newest, t.random.Uint64N(100_000)), indexWrites, 0)
			add(in(idempotency, t.random.Uint64(), 0), indexWrites, 0)
			add(in(counter, 0, 0), 1.0/100, 1.0/100)
		case kind < growthBirths+growthGets:
			add(t.head(t.newest-t.recent.Uint64()), 0, headReads)
		default:
			add(in(inThread, 0, t.random.Uint64N(50_000)), 0, 1)
			for range listed {
				add(t.head(t.newest-t.random.Uint64N(1_000_000)), 0, headReads)
			}
		}
	}
	return load
}

// grown is a table after it had the time to split.
type grown struct {
	partitions    int
	hottest       heat
	refusedWrites float64 // share of the write units
	refusedReads  float64
}

// simulated has what grow returned. The random numbers have a seed, so it is always the same.
var simulated = map[[2]float64]grown{}

func grow(factor float64, lists uint64) (g grown) {
	key := [2]float64{factor, float64(lists)}
	if known, ok := simulated[key]; ok {
		return known
	}
	defer func() { simulated[key] = g }()
	// Four partitions serve what a new table does: 4,000 write and 12,000 read units.
	table := table{{}, {list: 1 << 62}, {list: 2 << 62}, {list: 3 << 62}}
	t := newTraffic(lists)
	for range rounds {
		table = table.split(t.second(today * factor))
	}
	var all, refused heat
	for _, h := range table.partitions(t.second(today * factor)) {
		all = heat{all.writes + h.writes, all.reads + h.reads}
		refused = heat{refused.writes + max(0, h.writes-partitionWrites), refused.reads + max(0, h.reads-partitionReads)}
		g.hottest = heat{max(g.hottest.writes, h.writes), max(g.hottest.reads, h.reads)}
	}
	g.partitions, g.refusedWrites, g.refusedReads = len(table), refused.writes/all.writes, refused.reads/all.reads
	return g
}

// growthTable has what the simulation says.
func growthTable() string {
	var b strings.Builder
	b.WriteString("| growth | requests a second | lists for posts | partitions | hottest: write units | hottest: read units | writes refused | reads refused |\n|---|---|---|---|---|---|---|---|\n")
	for _, row := range []struct {
		factor float64
		lists  uint64
	}{{1, 1}, {100, 1}, {100, 16}, {10_000, 1}, {10_000, 16}, {10_000, 256}} {
		g := grow(row.factor, row.lists)
		fmt.Fprintf(&b, "| ×%s | %s | %d | %d | %s | %s | %s | %s |\n", thousands(row.factor), thousands(today*row.factor), row.lists, g.partitions,
			thousands(g.hottest.writes), thousands(g.hottest.reads), percent(g.refusedWrites), percent(g.refusedReads))
	}
	return b.String()
}

func thousands(n float64) string {
	text := fmt.Sprintf("%.0f", n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

// TestGrowth: one list is enough for a hundredfold of reads and not of writes, and more lists help.
func TestGrowth(t *testing.T) {
	if g := grow(1, 1); g.refusedWrites > 0 || g.refusedReads > 0 || g.partitions != 4 {
		t.Errorf("today: %+v", g)
	}
	one, many := grow(100, 1), grow(100, 16)
	if one.refusedWrites == 0 || many.refusedWrites > 0 || many.refusedReads > 0 {
		t.Errorf("one list %+v, 16 lists %+v", one, many)
	}
	if g := grow(10_000, 256); g.refusedWrites > 0.01 || g.refusedReads > 0.01 || g.partitions < 100 {
		t.Errorf("a ten-thousandfold: %+v", g)
	}
}
