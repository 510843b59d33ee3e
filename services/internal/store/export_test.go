package store

// What the tests with real databases call.
var (
	TestLostAnswers = testLostAnswers
	TestPurge       = testPurge
	TestSchema      = testSchema
)
