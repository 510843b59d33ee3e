// The monolith, or the part of it that the variable PART names.
const http = require('node:http');

const part = process.env.PART || 'monolith';
let stopping = false;
// The load balancer keeps an idle connection for 60 s. The server keeps it longer.
const server = http.createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
  if (stopping) {
    response.setHeader('Connection', 'close');
  }
  const known = request.url === '/healthz' || /^\/api\/(books|loans)/.test(request.url);
  response.writeHead(known ? 200 : 404, { 'Content-Type': 'text/plain' });
  response.end(`${part}\n`);
}).listen(process.env.PORT || 8080, process.env.HOST);

// A task that stops gets requests for some seconds more.
process.on('SIGTERM', () => {
  stopping = true;
  setTimeout(() => server.close(), 5_000);
});
