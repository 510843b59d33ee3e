// The monolith, or with an argument one of its parts alone.
import { createServer } from 'node:http';

const parts = {
  products: ['/products', [{ id: 1, name: 'Cup' }, { id: 2, name: 'Plate' }]],
  orders: ['/orders', [{ id: 1, product: 2 }]],
};
const own = process.argv[2] ? [process.argv[2]] : Object.keys(parts);
const answers = new Map([['/', 'shop'], ['/health', 'ok'], ...own.map(part => parts[part])]);

const server = createServer((request, response) => {
  const answer = answers.get(request.url);
  response.writeHead(answer ? 200 : 404, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(answer ?? { error: 'not found' }) + '\n');
});
// ECS stops a task with SIGTERM, when the load balancer sends it nothing any more.
process.on('SIGTERM', () => server.close(() => process.exit(0)));
server.listen(process.env.PORT, process.env.HOST);
