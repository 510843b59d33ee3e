package main

// mutants lists changes that a test must notice, by package. Take a change that somebody could make
// by mistake, and that would harm people who deploy.
var mutants = []mutant{
	{"services/internal/server/server.go", "idleTimeout = 75 * time.Second", "idleTimeout = 50 * time.Second", "TestDefaults", "the service closes idle connections before the load balancer does: 502"},
	{"migration/migration.go", "phase == Switched || phase == Retired {", "phase == Retired {", "TestPlan", "the switch changes nothing"},
	{"migration/migration.go", "narrow[n] != '*' && (", "(", "TestAnswers", "? covers *"},
}
