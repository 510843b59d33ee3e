// The new orders of all tasks, as server-sent events. A client that comes again, to whichever task,
// says in Last-Event-ID what it has seen.

const pollEvery = 500; // ms
const beatEvery = 15_000; // ms; the load balancer closes a connection that is silent for 60 s

export class Events {
  #store;
  #log;
  #streams = new Set(); // of { response, last }
  #timers = [];
  #closed = false;

  constructor(store, log) {
    this.#store = store;
    this.#log = log;
  }

  /** Answers a request with the stream. */
  open(request, response) {
    const seen = Number.parseInt(request.headers['last-event-id'], 10);
    const stream = { response, last: seen >= 0 ? seen : this.#store.last() };
    // The connection ends with the stream, so a stopping task need not wait for another request in it.
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', Connection: 'close' });
    response.write('retry: 1000\n\n');
    if (this.#closed || request.method === 'HEAD') {
      response.end();
      return;
    }
    if (this.#streams.size === 0) {
      this.#timers = [
        setInterval(() => this.#poll(), pollEvery),
        setInterval(() => this.#send(':\n\n'), beatEvery),
      ];
    }
    this.#streams.add(stream);
    response.once('close', () => {
      this.#streams.delete(stream);
      if (this.#streams.size === 0) this.#timers.splice(0).forEach(clearInterval);
    });
  }

  /** Ends all streams. Clients come again, and find another task. */
  close() {
    this.#closed = true;
    this.#timers.splice(0).forEach(clearInterval);
    for (const { response } of this.#streams) response.end();
  }

  #send(text) {
    for (const { response } of this.#streams) response.write(text);
  }

  #poll() {
    let orders;
    try {
      orders = this.#store.after(Math.min(...[...this.#streams].map((s) => s.last)));
    } catch (error) {
      this.#log.error('the new orders cannot be read', { error: error.message }); // the next time, maybe
      return;
    }
    for (const stream of this.#streams) {
      for (const order of orders.filter((o) => o.id > stream.last)) {
        stream.response.write(`id: ${order.id}\nevent: order\ndata: ${JSON.stringify(order)}\n\n`);
        stream.last = order.id;
      }
    }
  }
}
