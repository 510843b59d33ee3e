// The parts of the shop. The monolith has all of them, a service has one.
import { ask } from './calls.js';
import * as carts from './carts.js';
import { Events } from './events.js';
import { json } from './http.js';
import * as orders from './orders.js';
import * as products from './products.js';
import { Sessions } from './session.js';
import { Store } from './store.js';

const parts = { products, carts, orders };

/**
 * Opens a part, or without a name the whole shop. It has routes for `handler`, and `stop` and `close`
 * for the end: stop ends what would last, and close gives up the file. A part asks another service for
 * what it does not have itself. The error says which variable of the environment is missing.
 */
export function open(name, environment, log) {
  if (name && !Object.hasOwn(parts, name)) {
    throw new Error(`there is no part ${JSON.stringify(name)}: it must be one of ${Object.keys(parts).join(', ')}, or none for the whole shop`);
  }
  const wanted = name ? [parts[name]] : Object.values(parts);
  const needs = { routes: [['GET', '/healthz', () => json({ status: 'ok' })]], stop() {}, close() {} };
  if (wanted.some((part) => part !== products)) {
    needs.sessions = new Sessions(required(environment, 'SESSION_SECRET', 'the key that signs the cookies of the sessions'));
  }
  if (name === 'carts') {
    const url = required(environment, 'PRODUCTS_URL', 'the address of the service products');
    needs.products = () => ask(url, '/api/products');
  } else {
    needs.products = products.list;
  }
  if (name === 'orders') {
    const url = required(environment, 'CARTS_URL', 'the address of the service carts');
    needs.cart = (request) => ask(url, '/api/carts', { cookie: request.headers.cookie ?? '' });
  } else {
    needs.cart = (_, session) => carts.content(session.cart, products.list());
  }
  if (wanted.includes(orders)) {
    needs.store = openStore(required(environment, 'ORDERS_FILE', 'the file of the orders, such as /data/orders.db'));
    needs.events = new Events(needs.store, log);
    needs.stop = () => needs.events.close();
    needs.close = () => needs.store.close();
  }
  needs.routes.push(...wanted.flatMap((part) => part.routes(needs)));
  return needs;
}

function required(environment, name, meaning) {
  if (!environment[name]) throw new Error(`${name} is not set: it must be ${meaning}`);
  return environment[name];
}

function openStore(file) {
  try {
    return new Store(file);
  } catch (error) {
    throw new Error(`ORDERS_FILE=${file} cannot be opened: ${error.message}`, { cause: error });
  }
}
