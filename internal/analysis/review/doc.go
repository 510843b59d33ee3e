// Package review says what a change of the app does to a deployment: it compares the templates
// before and after the change, in every phase of the migration.
//
// diff.cjs calls the library of `cdk diff` in Node.js. This package groups the differences and
// writes them as Markdown, as text for a terminal, and as a comment within GitHub's limit.
package review
