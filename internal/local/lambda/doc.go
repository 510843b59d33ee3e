//go:build unix

// Package lambda runs functions of Lambda on this machine: those that a target group of the assembly names. Other
// functions, as CDK's own, are deployed on AWS only.
//
// A program of an asset runs as it is. A driver of tasks runs images, and commands in place of functions.
//
// An execution environment is a process group, or a container, that speaks the Lambda Runtime API
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), with an endpoint of its own on the loopback
// interface. As on AWS (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html):
//
//   - It starts when an invocation finds none that is free, and has one invocation at a time. The one that was used
//     last is used first.
//   - It is free when it asks for its next invocation, not when it has answered. Until the next invocation comes, it
//     is frozen: what runs in the background stands still.
//   - Initialization may take 10 s. If it takes longer or fails, it is done once more, within the time-out of the
//     function.
//   - An invocation that takes longer than the time-out, or needs more memory than the function has, ends the
//     environment. So does a crash.
//   - Above the reserved concurrency of the function, invocations are throttled.
//   - A version keeps its code and settings. An alias changes at once, and what runs on the version before finishes.
//
// Differences:
//
//   - Memory is looked at every 100 ms, and only on Linux: a short peak is missed. Memory that processes share counts
//     in each. There is no share of a processor.
//   - A result comes when the environment is free again, but at most 20 ms after the response, as if it had a way.
//   - No more environments start at once than twice the processors of this machine. An invocation that waits for that
//     takes an environment that is free meanwhile.
//   - An idle environment ends after 5 minutes. AWS does not tell when.
//   - Functions without reserved concurrency have 1000 each. On AWS all of an account's share what is left of 1000.
//   - The code is in a directory of this machine, in LAMBDA_TASK_ROOT, and can be written. TMPDIR is a directory of the
//     environment; the path /tmp is this machine's.
//   - What a driver runs has a minute for its initialization, and no TMPDIR of its own. In a container of an engine, its
//     first process is frozen and others go on, and the engine limits the memory.
//   - A function that is not in the assembly has no permission, no memory limit and the longest time-out here.
//   - There are no extensions and no X-Ray.
package lambda
