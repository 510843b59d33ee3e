import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { Sessions } from './session.js';

const directory = mkdtempSync(join(tmpdir(), 'shop-'));
after(() => rmSync(directory, { recursive: true }));
const environment = { SESSION_SECRET: 'of the test', ORDERS_FILE: join(directory, 'orders.db'), HOST: '127.0.0.1', PORT: '0' };

/** Starts a part of the shop, and waits until it listens. */
async function start(t, part, more = {}) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'server.js'), ...(part ? [part] : [])],
    { env: { ...environment, ...more }, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  t.after(() => child.kill('SIGKILL'));
  let errors = '';
  child.stderr.on('data', (text) => { errors += text; });
  const lines = [];
  const log = createInterface(child.stdout);
  const listening = new Promise((resolve) => log.on('line', (text) => {
    const line = JSON.parse(text);
    lines.push(line);
    if (line.msg === 'listening') resolve(line.port);
  }));
  const port = await Promise.race([listening, exited.then(([code]) => { throw Object.assign(new Error(errors), { code }); })]);
  return { child, exited, lines, url: `http://127.0.0.1:${port}` };
}

/** A browser: it keeps the cookie. */
function browser() {
  let cookie = '';
  return async (url, method = 'GET', body = undefined) => {
    const response = await fetch(url, { method, headers: { cookie, 'x-amzn-trace-id': 'Root=1-2-3' }, body: body && JSON.stringify(body) });
    cookie = response.headers.getSetCookie()[0]?.split(';')[0] ?? cookie;
    return response;
  };
}

test('what is missing is said before anything starts', async (t) => {
  for (const [part, more, want] of [
    ['shoes', {}, /^shop: there is no part "shoes": it must be one of products, carts, orders, or none/],
    ['carts', { SESSION_SECRET: '' }, /^shop: SESSION_SECRET is not set: /],
    [undefined, { SESSION_SECRET: '' }, /^shop: SESSION_SECRET is not set: /],
    ['carts', {}, /^shop: PRODUCTS_URL is not set: /],
    ['orders', {}, /^shop: CARTS_URL is not set: /],
    [undefined, { ORDERS_FILE: '' }, /^shop: ORDERS_FILE is not set: /],
    [undefined, { ORDERS_FILE: '/nowhere/orders.db' }, /^shop: ORDERS_FILE=\/nowhere\/orders.db cannot be opened: /],
    ['products', { PORT: '70000' }, /^shop: .*70000/],
  ]) {
    await assert.rejects(start(t, part, more), (error) => {
      assert.match(error.message, want);
      assert.doesNotMatch(error.message, /\n./); // a line, and no stack
      return error.code === 1;
    });
  }
  await start(t, 'products', { SESSION_SECRET: '', ORDERS_FILE: '' }); // which needs neither
});

/** Starts the services, each with the address of the one that it calls. */
async function startAll(t) {
  const products = (await start(t, 'products')).url;
  const carts = (await start(t, 'carts', { PRODUCTS_URL: products })).url;
  return { products, carts, orders: (await start(t, 'orders', { CARTS_URL: carts })).url };
}

test('the services answer what the monolith answers', async (t) => {
  const monolith = (await start(t)).url;
  const services = await startAll(t);
  const browse = browser();
  assert.equal((await browse(`${monolith}/api/carts/3`, 'PUT', { quantity: 2 })).status, 200);
  assert.equal((await browse(`${services.orders}/api/orders`, 'POST')).status, 201); // the monolith's cookie is good
  for (const [service, path] of [
    ['products', '/api/products'], ['products', '/api/products/5'], ['products', '/api/products/6'], ['products', '/api/products/x'],
    ['carts', '/api/carts'], ['carts', '/api/carts/1'],
    ['orders', '/api/orders'], ['orders', '/api/orders/1'], ['orders', '/api/orders/999'], ['orders', '/healthz'],
  ]) {
    const [want, got] = await Promise.all([monolith, services[service]].map(async (url) => {
      const response = await browse(url + path);
      return [response.status, response.headers.get('content-type'), await response.text()];
    }));
    assert.deepEqual(got, want, path);
  }
  assert.equal((await browse(`${services.carts}/api/products`)).status, 404);
});

test('services call each other for an order', async (t) => {
  const { carts, orders } = await startAll(t);
  const browse = browser();
  assert.equal((await browse(`${carts}/api/carts/9`, 'PUT', { quantity: 2 })).status, 404);
  assert.equal((await (await browse(`${carts}/api/carts/3`, 'PUT', { quantity: 2 })).json()).total, 6900);
  const placed = await browse(`${orders}/api/orders`, 'POST');
  assert.deepEqual([placed.status, (await placed.json()).total], [201, 6900]);
  assert.equal((await browse(`${orders}/api/orders`, 'POST')).status, 409, 'the next cart is empty');
});

test('a call without an answer is one to try again', async (t) => {
  const broken = http.createServer((request, response) => {
    if (request.url === '/api/carts') response.writeHead(500).end(); // else it says nothing
  }).listen(0, '127.0.0.1');
  await once(broken, 'listening');
  t.after(() => broken.close().closeAllConnections());
  const url = `http://127.0.0.1:${broken.address().port}`;
  for (const [part, variable, address, method, path, want] of [
    ['carts', 'PRODUCTS_URL', 'http://127.0.0.1:1', 'GET', '/api/carts', /^http:\/\/127.0.0.1:1\/api\/products cannot be asked: /],
    ['carts', 'PRODUCTS_URL', url, 'GET', '/api/carts', /\/api\/products cannot be asked: The operation was aborted due to timeout/],
    ['orders', 'CARTS_URL', url, 'POST', '/api/orders', /\/api\/carts answers 500$/],
  ]) {
    const { url: service, lines } = await start(t, part, { [variable]: address });
    const response = await fetch(service + path, { method });
    assert.deepEqual([response.status, response.headers.get('retry-after'), await response.json()], [503, '1', { error: 'try again' }], path);
    assert.match(lines.find((line) => line.level === 'ERROR').error, want);
  }
});

test('a cart becomes one order', async (t) => {
  const { url, lines } = await start(t);
  const browse = browser();
  const empty = await browse(`${url}/api/orders`, 'POST');
  assert.deepEqual([empty.status, await empty.json()], [409, { error: 'the cart is empty' }]);
  await browse(`${url}/api/carts/1`, 'PUT', { quantity: 3 });
  await browse(`${url}/api/carts/4`, 'PUT', { quantity: 1 });
  const filled = await browse(`${url}/api/carts/4`, 'PUT', { quantity: 0 });
  const session = filled.headers.getSetCookie()[0];
  assert.match(session, /^shop=[\w-]+\.[\w-]+; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Lax$/);
  assert.deepEqual(await filled.json(), { items: [{ product: { id: 1, name: 'Coffee, 500 g', price: 899 }, quantity: 3 }], total: 2697 });
  const again = () => fetch(`${url}/api/orders`, { method: 'POST', headers: { cookie: session } });
  const placed = await browse(`${url}/api/orders`, 'POST');
  const order = await placed.json();
  assert.equal(placed.headers.get('location'), `/api/orders/${order.id}`);
  assert.deepEqual(await (await again()).json(), order);
  assert.deepEqual(await (await browse(`${url}/api/orders`)).json(), [order]);
  assert.equal((await (await browse(`${url}/api/carts`)).json()).total, 0);

  const other = await fetch(`${url}/api/orders/${order.id}`);
  assert.equal(other.status, 404, 'an order is its session’s');
  const forged = await fetch(`${url}/api/orders/${order.id}`, { headers: { cookie: session.replace(/\.\w/, '.!') } });
  assert.equal(forged.status, 404, 'a cookie that somebody else signed');
  const secure = await fetch(`${url}/api/carts/1`, { method: 'PUT', headers: { 'x-forwarded-proto': 'https' }, body: '{"quantity": 1}' });
  assert.match(secure.headers.getSetCookie()[0], /; Secure$/);

  const line = lines.find((l) => l.method === 'POST' && l.status === 201);
  assert.equal(typeof line.durationMs, 'number');
  assert.deepEqual([line.service, line.path, line.traceId], ['shop', '/api/orders', 'Root=1-2-3']);
});

test('a cart may be older than the list of products', async (t) => {
  const { url } = await start(t);
  const old = new Sessions(environment.SESSION_SECRET).write({ headers: {} }, { id: 'a', cart: { id: 'b', items: { 99: 1 } } });
  const headers = { cookie: old['Set-Cookie'].split(';')[0] };
  assert.deepEqual(await (await fetch(`${url}/api/carts`, { headers })).json(), { items: [], total: 0 });
  assert.equal((await fetch(`${url}/api/orders`, { method: 'POST', headers })).status, 409);
});

test('a file that is locked for long is said to be busy', async (t) => {
  const { url } = await start(t);
  const browse = browser();
  const cart = await browse(`${url}/api/carts/1`, 'PUT', { quantity: 1 });
  assert.equal(cart.headers.get('keep-alive'), 'timeout=75'); // longer than the load balancer's
  const other = new DatabaseSync(environment.ORDERS_FILE);
  t.after(() => other.close());
  other.exec('BEGIN EXCLUSIVE');
  const busy = await browse(`${url}/api/orders`, 'POST');
  assert.deepEqual([busy.status, busy.headers.get('retry-after')], [503, '1']);
  other.exec('ROLLBACK');
  assert.equal((await browse(`${url}/api/orders`, 'POST')).status, 201);
});

test('wrong requests', async (t) => {
  const { url } = await start(t);
  for (const [method, path, body, status, error] of [
    ['GET', '/', undefined, 404, 'not found'],
    ['DELETE', '/api/orders', undefined, 405, 'method not allowed'],
    ['PUT', '/api/carts/9', '{"quantity": 1}', 404, 'not found'],
    ['PUT', '/api/carts/1', '{"quantity": 100}', 400, '"quantity" must be a whole number from 0 to 99'],
    ['PUT', '/api/carts/1', '{"quantity": -1}', 400, '"quantity" must be a whole number from 0 to 99'],
    ['PUT', '/api/carts/1', '{"quantity": "1"}', 400, '"quantity" must be a whole number from 0 to 99'],
    ['PUT', '/api/carts/1', '[]', 400, 'the body must be a JSON object'],
    ['PUT', '/api/carts/1', '{', 400, 'the body must be a JSON object'],
    ['PUT', '/api/carts/1', ' '.repeat((64 << 10) + 1), 413, 'the body has more than 65536 bytes'],
  ]) {
    const response = await fetch(url + path, { method, body });
    assert.deepEqual([response.status, await response.json()], [status, { error }], `${method} ${path} ${body?.slice(0, 40)}`);
  }
});

/** The events of a stream, as it brings them. */
async function* eventsOf(response) {
  let text = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const events = text.split('\n\n');
    text = events.pop();
    yield* events.filter((event) => event.startsWith('id:'));
  }
}

test('a stream brings the orders of all tasks, and ends when its task stops', async (t) => {
  const two = await start(t);
  const one = await start(t, 'orders', { CARTS_URL: two.url });
  const stream = eventsOf(await fetch(`${one.url}/api/orders/events`));
  const browse = browser();
  const order = async () => {
    await browse(`${two.url}/api/carts/2`, 'PUT', { quantity: 1 });
    return (await (await browse(`${two.url}/api/orders`, 'POST')).json()).id;
  };
  const first = await order();
  assert.equal((await stream.next()).value, `id: ${first}\nevent: order\ndata: {"id":${first},"total":649}`);
  one.child.kill('SIGTERM');
  assert.ok((await stream.next()).done);
  assert.deepEqual(await one.exited, [0, null]);

  const second = await order();
  const later = eventsOf(await fetch(`${two.url}/api/orders/events`, { headers: { 'last-event-id': String(first) } }));
  assert.match((await later.next()).value, new RegExp(`^id: ${second}\n`));
});

test('tasks write at the same time', async (t) => {
  const one = await start(t);
  const orders = () => start(t, 'orders', { CARTS_URL: one.url });
  const tasks = [one, ...await Promise.all([orders(), orders()])];
  const ids = await Promise.all(Array.from({ length: 60 }, async (_, i) => {
    const browse = browser();
    await browse(`${tasks[0].url}/api/carts/1`, 'PUT', { quantity: 1 });
    let response;
    do response = await browse(`${tasks[i % tasks.length].url}/api/orders`, 'POST'); while (response.status === 503);
    assert.equal(response.status, 201);
    return (await response.json()).id;
  }));
  assert.equal(new Set(ids).size, ids.length);
});

test('a stopping task loses no request', async (t) => {
  const { child, exited, url } = await start(t, 'products');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  t.after(() => agent.destroy());
  const get = () => new Promise((resolve, reject) => http.get(`${url}/api/products`, { agent }, (response) => {
    response.resume().once('end', () => resolve(response)).once('error', reject);
  }).once('error', reject));
  let answered = 0;
  // A load balancer opens no connection to a task that it has deregistered.
  const client = async () => {
    for (;;) {
      const response = await get();
      assert.equal(response.statusCode, 200);
      answered += 1;
      if (answered === 500) child.kill('SIGTERM');
      if (response.headers.connection === 'close') return;
    }
  };
  await Promise.all(Array.from({ length: 8 }, client));
  assert.deepEqual(await exited, [0, null]);
  assert.ok(answered > 500);
});

test('a function answers what the server answers', async (t) => {
  const event = (method, path, query, headers, body) => ({
    httpMethod: method, path, multiValueQueryStringParameters: query,
    multiValueHeaders: { host: ['shop'], ...headers }, body, isBase64Encoded: false,
  });
  const events = [
    event('GET', '/api/products/5', {}, {}, ''),
    event('GET', '/api/products/6', { page: ['1', '2'] }, {}, ''),
    event('HEAD', '/api/products', {}, {}, ''),
  ];
  const answers = [];
  const { promise, resolve } = Promise.withResolvers();
  const lambda = http.createServer(async (request, response) => {
    if (request.method === 'POST') {
      answers.push(JSON.parse(Buffer.concat(await request.toArray())));
      response.writeHead(202).end();
    } else if (answers.length < events.length) {
      response.setHeader('lambda-runtime-aws-request-id', String(answers.length));
      response.end(JSON.stringify(events[answers.length]));
    } else {
      resolve(); // it asks for one more, which does not come
    }
  });
  lambda.listen(0, '127.0.0.1');
  t.after(() => { lambda.closeAllConnections(); lambda.close(); });
  await once(lambda, 'listening');
  const { url } = await start(t, 'products');
  await start(t, 'products', { AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${lambda.address().port}` });
  await promise;
  for (const [i, { httpMethod: method, path }] of events.entries()) {
    const want = await fetch(url + path, { method });
    assert.equal(answers[i].statusCode, want.status);
    assert.deepEqual(answers[i].multiValueHeaders['content-type'], [want.headers.get('content-type')]);
    assert.equal(Buffer.from(answers[i].body, 'base64').toString(), await want.text());
  }
});
