// Package eventsource stands for the event source mappings of Lambda on this machine: it reads what comes from a queue of
// SQS, or from the stream of a table, and invokes a function with it.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html
//
// A mapping has the credentials of the function's role, and what the role may not do is refused. As on AWS:
//
//   - A stream has shards. Each shard has one batch at a time, in the order of the stream, and a shard begins when its parent
//     has ended. Without records, a shard is asked four times a second.
//   - A batch of a stream that fails is tried again until it succeeds, its records are too old, or it was tried too often.
//   - A batch of a queue that fails comes again when its messages are visible again. What was processed is deleted.
//   - Records and messages that no filter lets through are done without an invocation.
//   - An invocation that runs when the mapping ends runs to its end.
//
// Differences:
//
//   - The position in a stream is in a file of the deployment's data, so that a stream goes on where it was after a restart. With
//     LATEST, the position is where the stream ends when the mapping is made.
//   - A queue has at most 5 invocations at once, or MaximumConcurrency. AWS starts with 5, and adds more to a long queue.
//   - The time between two attempts doubles from 100 ms to 10 s. AWS does not tell its own.
package eventsource
