// Package review says what a change of the app does to a deployment. It compares the
// templates before and after the change, in every phase of the migration, and points out
// what nobody should overlook.
//
// The comparison is that of the CDK command line: diff.cjs calls the library of
// `cdk diff`, in Node.js. This package groups the differences. It writes them as Markdown,
// as text for a terminal, and as a comment that fits GitHub's limit.
package review
