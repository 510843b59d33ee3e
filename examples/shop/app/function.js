// A client of the Runtime API of AWS Lambda: it asks the server on a port what a load balancer asks the function.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
import http from 'node:http';

// What an answer has for its connection, which is that of the load balancer here.
const hopByHop = ['connection', 'keep-alive', 'transfer-encoding', 'content-length'];

/** Answers events of the load balancer, one after the other, for ever. */
export async function serve(api, port) {
  const invocation = `http://${api}/2018-06-01/runtime/invocation`;
  for (;;) {
    const next = await fetch(`${invocation}/next`);
    const id = next.headers.get('lambda-runtime-aws-request-id');
    const answer = await ask(port, await next.json());
    await fetch(`${invocation}/${id}/response`, { method: 'POST', body: JSON.stringify(answer) });
  }
}

/** What the server answers to a request in an event with multi-value headers. */
async function ask(port, event) {
  // Parameters are as the client encoded them.
  const query = Object.entries(event.multiValueQueryStringParameters)
    .flatMap(([key, values]) => values.map((value) => `${key}=${value}`)).join('&');
  const headers = { ...event.multiValueHeaders, host: event.multiValueHeaders.host[0] };
  const { promise, resolve, reject } = Promise.withResolvers();
  http.request({ port, method: event.httpMethod, path: event.path + (query && `?${query}`), headers, agent: false }, resolve)
    .on('error', reject)
    .end(Buffer.from(event.body, event.isBase64Encoded ? 'base64' : 'utf8'));
  const response = await promise;
  const body = Buffer.concat(await response.toArray());
  return {
    statusCode: response.statusCode,
    multiValueHeaders: Object.fromEntries(Object.entries(response.headersDistinct).filter(([name]) => !hopByHop.includes(name))),
    isBase64Encoded: true,
    body: body.toString('base64'),
  };
}
