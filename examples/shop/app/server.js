// Usage: node server.js [products | carts | orders]
//
// Serves a part of the shop, or all of it, on HOST and PORT (8080) until SIGTERM. As a function of AWS Lambda, it
// answers what Lambda asks.
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from './function.js';
import { handler } from './http.js';
import { logger } from './log.js';
import { open } from './shop.js';

const longestDrain = 5_000; // ms
const longestStop = 15_000; // ms; less than the container's stop timeout

const part = process.argv[2];
const api = process.env.AWS_LAMBDA_RUNTIME_API;
const log = logger(part ?? 'shop');

/** Ends a start that failed, with a line that says why. */
function fail(error) {
  console.error(`shop: ${error.message}`);
  process.exit(1);
}

let shop;
try {
  shop = open(part, process.env, log);
} catch (error) {
  fail(error);
}

let draining = false;
const server = http.createServer({
  // Longer than the 60 s after which a load balancer closes an idle connection. Otherwise the load
  // balancer could send a request into a closing connection, and answer its client 502.
  keepAliveTimeout: 75_000,
  headersTimeout: 80_000,
}, handler({ ...shop, log, isDraining: () => draining }));
server.on('error', fail);
try {
  server.listen({ host: process.env.HOST || undefined, port: api ? 0 : process.env.PORT || 8080 }, () => {
    log.info('listening', server.address());
    if (api) serve(api, server.address().port).catch(fail);
  });
} catch (error) {
  fail(error); // the port is no port
}

/**
 * Stops without losing a request. server.close() alone closes idle connections at once, while a
 * request may be on its way in one of them. So first every answer asks its client to close the
 * connection. That ends when no connection is left, or after its time.
 */
async function stop() {
  if (draining) return;
  draining = true;
  log.info('stopping');
  shop.stop();
  const connections = () => new Promise((resolve) => server.getConnections((_, count) => resolve(count)));
  for (const end = Date.now() + longestDrain; (await connections()) > 0 && Date.now() < end;) await sleep(10);
  setTimeout(() => server.closeAllConnections(), longestStop - longestDrain).unref();
  server.close(() => {
    shop.close();
    log.info('stopped');
  });
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
