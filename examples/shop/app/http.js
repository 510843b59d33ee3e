// What all routes need of HTTP: answers, bodies, and the way from a request to its route.
import { CallError } from './calls.js';
import { isBusy } from './store.js';

const longestBody = 64 << 10; // bytes

/** An error that is the client's to know. */
export class HttpError extends Error {
  constructor(status, message, headers = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/** An answer with a value as JSON. */
export const json = (value, { status = 200, headers = {} } = {}) => ({ status, headers, body: JSON.stringify(value) });

export const notFound = () => json({ error: 'not found' }, { status: 404 });

/** The body of a request, which must be a JSON object. */
async function readBody(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += chunk.length;
    // The rest is not read, so the connection cannot be used again.
    if (size > longestBody) throw new HttpError(413, `the body has more than ${longestBody} bytes`, { Connection: 'close' });
    chunks.push(chunk);
  }
  try {
    const value = JSON.parse(Buffer.concat(chunks));
    if (value && typeof value === 'object' && !Array.isArray(value)) return value;
  } catch {
    // said below
  }
  throw new HttpError(400, 'the body must be a JSON object');
}

/**
 * The handler of an HTTP server. A route is [method, path, handle]: ":id" in the path is any digits,
 * and handle returns an answer, or answers by itself and returns nothing. The first route that fits
 * has the request. HEAD is GET without a body.
 */
export function handler({ routes, log, isDraining = () => false }) {
  const table = routes.map(([method, path, handle]) => ({ method, path: new RegExp(`^${path.replace(':id', '(?<id>\\d+)')}$`), handle }));

  async function answer(request, response, path) {
    const fitting = table.filter((route) => route.path.test(path));
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const route = fitting.find((r) => r.method === method);
    if (route) {
      const { groups: params } = route.path.exec(path);
      return route.handle({ request, response, params, body: () => readBody(request) });
    }
    if (fitting.length === 0) return notFound();
    throw new HttpError(405, 'method not allowed', { Allow: fitting.map((r) => r.method).join(', ') });
  }

  return async (request, response) => {
    const begin = performance.now();
    const path = request.url.split('?', 1)[0]; // the query may be confidential
    response.once('close', () => log.info('request', {
      method: request.method,
      path,
      status: response.statusCode,
      durationMs: Math.round((performance.now() - begin) * 1000) / 1000,
      traceId: request.headers['x-amzn-trace-id'],
    }));
    let result;
    try {
      result = await answer(request, response, path);
    } catch (error) {
      if (error instanceof HttpError) {
        result = json({ error: error.message }, error);
      } else if (isBusy(error) || error instanceof CallError) {
        log.error('a request has to be tried again', { method: request.method, path, error: error.message });
        result = json({ error: 'try again' }, { status: 503, headers: { 'Retry-After': '1' } });
      } else {
        log.error('a request failed', { method: request.method, path, error: error.stack });
        result = json({ error: 'internal error' }, { status: 500 });
      }
    }
    if (!result) return; // a stream
    // A stopping server asks its clients to come again on another connection.
    const closing = isDraining() ? { Connection: 'close' } : {};
    response.writeHead(result.status, {
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': Buffer.byteLength(result.body),
      ...result.headers,
      ...closing,
    });
    response.end(result.body);
  };
}
