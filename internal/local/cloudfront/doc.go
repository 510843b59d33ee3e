// Package cloudfront is a distribution of CloudFront on a socket of this machine. It treats requests as the template says,
// and as AWS would: behaviors, functions, cache, origins, errors, headers of answers.
//
// A [Provider] runs the distributions of an assembly, stack by stack. Its buckets hold what a deployment copies into them.
//
// The distribution follows the documentation at https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/. If
// the documentation leaves something open, a comment says what was chosen. Some choices are worth knowing:
//
// There is one edge location, with one cache. A deployment changes the distribution at once, and what is in the cache stays
// until its time is over, as on AWS.
//
// Viewers speak HTTP without TLS here. A behavior that asks for HTTPS takes them all the same.
package cloudfront
