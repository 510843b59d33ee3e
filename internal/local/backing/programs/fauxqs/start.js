// Starts fauxqs 2.4.1 with its data in a directory: node start.js DIRECTORY PORT. What is mended here is wrong in
// that version. A contract test fails if a newer version makes one of these unnecessary or impossible.
import net from "node:net";
import { startFauxqs } from "./node_modules/fauxqs/dist/app.js";
import { PersistenceManager } from "./node_modules/fauxqs/dist/persistence.js";
import { SqsQueue } from "./node_modules/fauxqs/dist/sqs/sqsStore.js";

const [dataDir, port] = process.argv.slice(2);

// fauxqs listens on all interfaces, and asks nobody who they are.
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (options, ...rest) {
  return listen.call(this, { ...options, host: "127.0.0.1" }, ...rest);
};

// A write survives a crash of the program, and not one of the machine.
const prepare = PersistenceManager.prototype.prepareStatements;
PersistenceManager.prototype.prepareStatements = function () {
  this.db.exec("PRAGMA synchronous = OFF");
  const statements = prepare.call(this);
  // A message that its receiver gives back loses its count of receives, which the table does not take: the message
  // would be lost.
  statements.giveBack = this.db.prepare("UPDATE sqs_messages SET receipt_handle = NULL, visibility_deadline = NULL WHERE message_id = ?");
  return statements;
};
PersistenceManager.prototype.updateMessageReady = function (id) {
  this.stmts.giveBack.run(id);
};

// A receiver gets one message of a group. SQS gives as many as there are, up to the number that is asked for.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html
const dequeue = SqsQueue.prototype.dequeueFifo;
SqsQueue.prototype.dequeueFifo = function (max, ...rest) {
  const all = dequeue.call(this, max, ...rest);
  const groups = new Set(all.map((m) => this.inflightMessages.get(m.ReceiptHandle).message.messageGroupId));
  for (let more = all; more.length > 0 && all.length < max; all.push(...more)) {
    const before = new Map([...groups].map((group) => [group, this.fifoLockedGroups.get(group)]));
    groups.forEach((group) => this.fifoLockedGroups.delete(group));
    more = dequeue.call(this, max - all.length, ...rest);
    before.forEach((locks, group) => this.fifoLockedGroups.set(group, locks + (this.fifoLockedGroups.get(group) ?? 0)));
  }
  return all;
};

// Messages of a group come back in the order in which they were sent.
for (const name of ["processTimers", "changeVisibility"]) {
  const original = SqsQueue.prototype[name];
  SqsQueue.prototype[name] = function (...args) {
    const before = this.inflightMessages.size;
    original.apply(this, args);
    if (this.isFifo() && this.inflightMessages.size < before) {
      for (const group of this.fifoMessages.values()) {
        group.sort((a, b) => (a.sequenceNumber < b.sequenceNumber ? -1 : 1));
      }
    }
  };
}

await startFauxqs({ dataDir, port: Number(port), logger: false, defaultRegion: "local" });
