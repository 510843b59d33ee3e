// Package rehearsal walks a deployment through the phases of a migration under load.
// It says whether a client would have noticed. A phase is any state of the deployment with
// a name: one phase for all services, or a place for each.
//
//	r, err := rehearsal.New(rehearsal.Options{Rate: 1000, Requests: 100_000})
//	...
//	report, err := r.Run(ctx, deployment)
//	...
//	report.WriteSummary(os.Stdout)
//	page, err := report.Save("build/rehearsal")
//	os.Exit(report.Verdict.ExitCode(false))
//
// The answers of the first phase, taken before the load begins, are the baseline. Every
// later answer must equal the baseline's, byte for byte.
//
// The load is open, like the load of many independent clients: requests are due at
// fixed moments, whether or not earlier ones were answered. Latencies count from the
// moment a request was due. So a deployment that holds up requests cannot hide it by
// holding up the next ones too (coordinated omission).
//
// Passed is a claim about the load as well, so the load is measured: before the walk, and
// by how late each request was sent. A machine that cannot hold the load gets the verdict
// inconclusive. See [Outcome].
//
// A request that was sent twice counts as lost. Go's HTTP client silently sends a
// request again when a used connection breaks; most clients do not.
package rehearsal
