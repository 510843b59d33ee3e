// The shop, or the part of it that the argument names.
const http = require('node:http');

const orders = [{ id: 1, customer: 2, product: 3 }, { id: 2, customer: 1, product: 1 }];
const products = [{ id: 1, name: 'Cup' }, { id: 2, name: 'Plate' }, { id: 3, name: 'Spoon' }];
const customers = [{ id: 1, name: 'Ada' }, { id: 2, name: 'Grace' }];
const parts = { orders: ['/api/orders', orders], catalog: ['/api/catalog', products], customers: ['/api/customers', customers] };
const part = process.argv[2];
const own = part ? [parts[part]] : Object.values(parts);

// What each path answers: a list, and each record of it by its id.
const answers = new Map([['/', { shop: 'open' }], ['/healthz', 'ok']]);
for (const [path, list] of own) {
  answers.set(path, list);
  for (const record of list) {
    answers.set(`${path}/${record.id}`, record);
  }
}

let stopping = false;
// The load balancer keeps an idle connection for 60 s. The server keeps it longer.
const server = http.createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
  const begin = performance.now();
  const path = request.url.split('?')[0];
  const answer = answers.get(path);
  response.writeHead(answer ? 200 : 404, { 'Content-Type': 'application/json', ...(stopping && { Connection: 'close' }) });
  response.end(JSON.stringify(answer ?? { error: 'not found' }) + '\n');
  console.log(JSON.stringify({
    msg: 'request', service: part ?? 'shop', path, status: response.statusCode,
    durationMs: performance.now() - begin, traceId: request.headers['x-amzn-trace-id'],
  }));
});
server.listen(process.env.PORT ?? 8080, process.env.HOST);

// For 5 s each answer closes its connection. So no request is on its way in an idle connection at the end.
process.on('SIGTERM', () => {
  stopping = true;
  setTimeout(() => server.close(), 5_000);
});
