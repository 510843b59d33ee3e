package collection

import "testing"

// What the checks of a request cost: to choose it, and to judge its answer.
func BenchmarkCollection(b *testing.B) {
	for name, config := range map[string]func() Config{"notes": ofNotes, "orders": ofOrders} {
		b.Run(name, func(b *testing.B) {
			s := newShop()
			c := config()
			c.Cold = 100
			w := newWorld(b, c, 1, s)
			if err := w.baseline(); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			for n := range b.N {
				b.StartTimer()
				call := w.c.Next()
				b.StopTimer()
				a := s.serve(call.Request)
				a.Seq = n
				b.StartTimer()
				call.Judge.Judge(a)
				b.StopTimer()
			}
		})
	}
}
