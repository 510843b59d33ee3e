// Package review says what a change of the app does to a deployment: it compares
// the templates before and after it, in every phase of the migration, and calls
// out what must not be overlooked.
//
// The comparison is that of the CDK command line: diff.cjs calls the library that
// `cdk diff` is made of, in Node.js. This package groups what it finds, and writes
// it as Markdown, for a terminal, and cut to the size of a comment on GitHub.
package review
