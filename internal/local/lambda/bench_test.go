//go:build linux

package lambda

import (
	"sync"
	"testing"
)

// BenchmarkCold starts an environment for each invocation.
func BenchmarkCold(b *testing.B) {
	d := newDeployment(b)
	d.mustDeploy(app{})
	for b.Loop() {
		r := d.mustInvoke(event{Do: "echo"})
		b.StopTimer()
		d.until("it is idle", func() bool { return d.status().Idle == 1 })
		e := d.take(d.version())
		e.signal(9)
		<-e.ended
		b.StartTimer()
		_ = r
	}
}

// BenchmarkWarm has 8 clients.
func BenchmarkWarm(b *testing.B) {
	d := newDeployment(b)
	d.mustDeploy(app{})
	work := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range work {
				d.mustInvoke(event{Do: "echo"})
			}
		})
	}
	for b.Loop() {
		work <- struct{}{}
	}
	close(work)
	clients.Wait()
	s := d.status()
	b.ReportMetric(float64(s.PeakMemoryMiB), "MiB/environment")
	b.ReportMetric(float64(s.ColdStarts), "cold-starts")
}
