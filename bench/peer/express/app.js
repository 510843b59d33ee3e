// The service users with Express: a record by its id, and a new record. It keeps the records as the Go service
// does, in the same lists with the same checks, and writes a line of JSON per request.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const express = require('express');

const key = (id) => String(id).padStart(16, '0');

// fromFile answers from the file of the image.
function fromFile() {
  const data = JSON.parse(fs.readFileSync(path.join(__dirname, '..', '..', '..', 'assets', 'data', 'users.json'), 'utf8'));
  const byId = new Map(data.users.map((record) => [key(record.id), JSON.stringify(record)]));
  return { get: async (list, id) => ({ body: byId.get(id), version: 1, seq: 1 }) };
}

// inDynamoDB keeps items in a table, with a condition on the version of each.
function inDynamoDB(table) {
  const { BatchGetItemCommand, DynamoDBClient, PutItemCommand } = require('@aws-sdk/client-dynamodb');
  const client = new DynamoDBClient({});
  return {
    async get(list, id) {
      const answer = await client.send(new BatchGetItemCommand({
        RequestItems: { [table]: { ConsistentRead: true, Keys: [{ pk: { S: list }, sk: { S: id } }] } },
      }));
      const [item] = answer.Responses[table];
      return item ? { body: Buffer.from(item.body.B).toString(), version: Number(item.ver.N), seq: Number(item.seq.N) } : { version: 0 };
    },
    async put(list, id, expected, body) {
      try {
        await client.send(new PutItemCommand({
          TableName: table,
          Item: {
            pk: { S: list }, sk: { S: id }, ver: { N: String(expected + 1) }, seq: { N: String(expected + 1) },
            place: { S: 'here' }, body: { B: Buffer.from(body) },
          },
          ConditionExpression: expected === 0 ? 'attribute_not_exists(pk)' : 'ver = :ver',
          ExpressionAttributeValues: expected === 0 ? undefined : { ':ver': { N: String(expected) } },
        }));
        return true;
      } catch (err) {
        if (err.name === 'ConditionalCheckFailedException') {
          return false;
        }
        throw err;
      }
    },
  };
}

// inPostgreSQL keeps items in the table items.
function inPostgreSQL(url) {
  const pool = new (require('pg').Pool)({ connectionString: url, max: 4 });
  return {
    async get(list, id) {
      const { rows } = await pool.query({ name: 'get', text: 'SELECT ver, seq, body FROM items WHERE list = $1 AND id = $2', values: [list, id] });
      return rows.length ? { body: rows[0].body.toString(), version: Number(rows[0].ver), seq: Number(rows[0].seq) } : { version: 0 };
    },
    async put(list, id, expected, body) {
      const { rowCount } = await pool.query(expected === 0
        ? { name: 'new', text: "INSERT INTO items (list, id, ver, seq, place, body) VALUES ($1, $2, 1, 1, 'here', $3) ON CONFLICT DO NOTHING", values: [list, id, Buffer.from(body)] }
        : { name: 'put', text: 'UPDATE items SET ver = ver + 1, seq = seq + 1, body = $3 WHERE list = $1 AND id = $2 AND ver = $4', values: [list, id, Buffer.from(body), expected] });
      return rowCount === 1;
    },
    close: () => pool.end(),
  };
}

const store = process.env.USERS_TABLE ? inDynamoDB(process.env.USERS_TABLE)
  : process.env.USERS_DATABASE_URL ? inPostgreSQL(process.env.USERS_DATABASE_URL)
    : fromFile();

// nextId gives ids from a counter, which it takes in blocks of 100.
let block;
let left = 0;
let taking;
async function take() {
  for (;;) {
    const counter = await store.get('counter', 'next');
    const { next } = counter.version ? JSON.parse(counter.body) : { next: 1 };
    if (await store.put('counter', 'next', counter.version, JSON.stringify({ next: next + 100 }))) {
      block = next;
      left = 100;
      return;
    }
  }
}
async function nextId() {
  while (left === 0) {
    taking ??= take().finally(() => { taking = undefined; });
    await taking;
  }
  left--;
  return block++;
}

const app = express();
app.disable('x-powered-by').disable('etag');
app.use((req, res, next) => {
  const start = process.hrtime.bigint();
  res.on('finish', () => {
    process.stdout.write(JSON.stringify({
      time: new Date(), level: 'INFO', msg: 'request', service: 'users', method: req.method, path: req.path, status: res.statusCode,
      bytes: Number(res.getHeader('Content-Length') ?? 0), durationMs: Number((process.hrtime.bigint() - start) / 1000n) / 1000,
    }) + '\n');
  });
  next();
});
app.get('/', (req, res) => res.type('text').send('Ready to receive requests'));
app.get('/api/users/:id', async (req, res) => {
  const id = parseInt(req.params.id, 10);
  const item = await store.get('users', key(id));
  if (item.body === undefined) {
    res.status(204).end();
    return;
  }
  if (store.put) {
    res.set('ETag', `"${item.seq}"`);
  }
  res.type('application/json; charset=utf-8').send(item.body);
});
app.post('/api/users', express.json({ limit: '320kb' }), async (req, res) => {
  const { username, name, bio } = req.body;
  const errors = Object.entries({ username, name, bio }).filter(([, value]) => typeof value !== 'string').map(([field]) => ({ pointer: `/${field}`, detail: 'must be a text' }));
  if (errors.length) {
    res.status(422).type('application/problem+json').send(JSON.stringify({ type: 'about:blank', title: 'Unprocessable Entity', status: 422, errors }));
    return;
  }
  let id;
  let body;
  do {
    id = await nextId();
    body = JSON.stringify({ id, username, name, bio });
  } while (!await store.put('users', key(id), 0, body));
  res.status(201).set('Location', `/api/users/${id}`).set('ETag', '"1"').type('application/json; charset=utf-8').send(body);
});

const server = app.listen(Number(process.env.PORT));
server.keepAliveTimeout = 75_000;
process.on('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
  store.close?.();
});
