require('node:http')
  .createServer((request, response) => response.end('basket'))
  .listen(process.env.LISTEN_PORT);
