// Package rehearsal walks a deployment through the phases of a migration while
// it is under load, and says whether a client would have noticed.
//
//	report, err := rehearsal.Run(ctx, deployment, rehearsal.Options{Rate: 1000, Requests: 100_000})
//	...
//	report.WriteSummary(os.Stdout)
//	page, err := report.Save("build/rehearsal")
//	if !report.Verdict.Passed {
//		os.Exit(1)
//	}
//
// What every route answers is taken down in the first phase, before the load
// begins; from then on each answer has to be equal to that, byte for byte.
//
// The load is open: requests are due at fixed moments whether or not earlier
// ones were answered, as those of many independent clients would be. Latencies
// count from the moment a request was due, so that a deployment that holds
// requests up cannot hide it by holding up the ones behind them too (what is
// known as coordinated omission).
//
// A request that had to be sent twice counts as lost. Go's HTTP client does that
// by itself when a connection that it had used before breaks, and would hide it;
// most clients have nobody to try again for them.
package rehearsal
