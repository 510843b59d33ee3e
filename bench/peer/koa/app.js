// The monolith as the original was, a koa service: the same routes over the same
// data, and a line of JSON per request in the access log. What can be done once
// is done at start, as in the Go service: every answer is rendered then.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const Koa = require('koa');
const Router = require('@koa/router');

const data = JSON.parse(fs.readFileSync(path.join(__dirname, '..', '..', '..', 'assets', 'data', 'api.json'), 'utf8'));

const render = (value) => Buffer.from(JSON.stringify(value));
const byId = (records) => new Map(records.map((record) => [record.id, render(record)]));
const groupBy = (records, key) => new Map([...Map.groupBy(records, key)].map(([id, group]) => [id, render(group)]));

function json(ctx, body) {
  if (body === undefined) {
    ctx.status = 204;
    return;
  }
  ctx.set('Content-Type', 'application/json; charset=utf-8');
  ctx.body = body;
}

const router = new Router();
router.get('/', (ctx) => { ctx.body = 'Ready to receive requests'; });
router.get('/api/', (ctx) => { ctx.body = 'API ready to receive requests'; });
for (const [table, parameter] of [['users', 'userId'], ['threads', 'threadId']]) {
  const list = render(data[table]);
  const records = byId(data[table]);
  router.get(`/api/${table}`, (ctx) => json(ctx, list));
  router.get(`/api/${table}/:${parameter}`, (ctx) => json(ctx, records.get(parseInt(ctx.params[parameter]))));
}
const posts = render(data.posts);
const none = render([]);
const inThread = groupBy(data.posts, (post) => post.thread);
const byUser = groupBy(data.posts, (post) => post.user);
router.get('/api/posts', (ctx) => json(ctx, posts));
router.get('/api/posts/in-thread/:threadId', (ctx) => json(ctx, inThread.get(parseInt(ctx.params.threadId)) ?? none));
router.get('/api/posts/by-user/:userId', (ctx) => json(ctx, byUser.get(parseInt(ctx.params.userId)) ?? none));

const app = new Koa();
app.use(async (ctx, next) => {
  const start = process.hrtime.bigint();
  await next();
  const line = {
    time: new Date(),
    level: 'INFO',
    msg: 'request',
    service: 'api',
    method: ctx.method,
    path: ctx.path,
    status: ctx.status,
    bytes: ctx.length ?? 0,
    durationMs: Number((process.hrtime.bigint() - start) / 1000n) / 1000,
  };
  const traceId = ctx.get('X-Amzn-Trace-Id');
  if (traceId !== '') {
    line.traceId = traceId;
  }
  process.stdout.write(JSON.stringify(line) + '\n');
});
app.use(router.routes());
app.use(router.allowedMethods());

const server = app.listen(Number(process.env.PORT));
server.keepAliveTimeout = 75_000;
process.on('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
});
