// The orders, in one SQLite file that all tasks open. The file may be on a network file system, such
// as Amazon EFS: so the journal is a file of its own, and not the shared memory of journal mode WAL
// (https://www.sqlite.org/wal.html: "WAL does not work over a network filesystem").
import { DatabaseSync } from 'node:sqlite';

const SQLITE_BUSY = 5;

export class Store {
  #db;
  #place;
  #get;
  #ofSession;
  #after;
  #last;

  /** Opens the file, and creates it if necessary. A statement waits a second for another task's. */
  constructor(file) {
    this.#db = new DatabaseSync(file, { timeout: 1000 });
    this.#db.exec(`
      PRAGMA journal_mode = DELETE;
      CREATE TABLE IF NOT EXISTS orders (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        cart TEXT NOT NULL UNIQUE,
        session TEXT NOT NULL,
        items TEXT NOT NULL,
        total INTEGER NOT NULL,
        placed TEXT NOT NULL
      ) STRICT;
      CREATE INDEX IF NOT EXISTS orders_of_session ON orders (session);`);
    const columns = 'id, items, total, placed';
    this.#place = this.#db.prepare(`INSERT INTO orders (cart, session, items, total, placed) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (cart) DO UPDATE SET cart = cart RETURNING ${columns}`);
    this.#get = this.#db.prepare(`SELECT ${columns} FROM orders WHERE id = ? AND session = ?`);
    this.#ofSession = this.#db.prepare(`SELECT ${columns} FROM orders WHERE session = ? ORDER BY id`);
    this.#after = this.#db.prepare('SELECT id, total FROM orders WHERE id > ? ORDER BY id LIMIT 100');
    this.#last = this.#db.prepare('SELECT coalesce(max(id), 0) AS id FROM orders');
  }

  /** Writes an order, and returns it. The order of a cart that has one already is returned as it is. */
  place({ cart, session, items, total }) {
    return order(this.#place.get(cart, session, JSON.stringify(items), total, new Date().toISOString()));
  }

  /** An order of a session, or undefined. */
  get(id, session) {
    const row = this.#get.get(id, session);
    return row && order(row);
  }

  /** The orders of a session, the oldest first. */
  ofSession(session) {
    return this.#ofSession.all(session).map(order);
  }

  /** Up to 100 orders after the one with an id, of all sessions: id and total. */
  after(id) {
    return this.#after.all(id);
  }

  /** The id of the last order, or 0. */
  last() {
    return this.#last.get().id;
  }

  close() {
    this.#db.close();
  }
}

const order = (row) => ({ ...row, items: JSON.parse(row.items) });

/** Tells whether another task held the file for too long. */
export const isBusy = (error) => error.code === 'ERR_SQLITE_ERROR' && (error.errcode & 0xff) === SQLITE_BUSY;
