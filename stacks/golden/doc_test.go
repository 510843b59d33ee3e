// Package golden_test tests what the golden assemblies say. The tests need no CDK:
// TestGoldens in stacks/ proves that the goldens are what is synthesized.
package golden_test

// root is the root of the repository.
const root = "../.."
