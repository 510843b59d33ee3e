// A session is a signed cookie. It holds the cart, so that every task knows it and none has to keep it.
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';

const name = 'shop';
const days = 30;

/** Reads and writes the sessions that are signed with a secret. */
export class Sessions {
  #secret;

  constructor(secret) {
    this.#secret = secret;
  }

  /** The session of a request: a new one if the request has none, or one that somebody else signed. */
  read(request) {
    for (const cookie of (request.headers.cookie ?? '').split(/; */)) {
      if (!cookie.startsWith(`${name}=`)) continue;
      const [text, signature = ''] = cookie.slice(name.length + 1).split('.');
      const given = Buffer.from(signature);
      const right = Buffer.from(this.#sign(text));
      if (given.length === right.length && timingSafeEqual(given, right)) {
        return JSON.parse(Buffer.from(text, 'base64url'));
      }
    }
    return { id: randomUUID(), cart: newCart() };
  }

  /** The headers that give a session to the client. */
  write(request, session) {
    const text = Buffer.from(JSON.stringify(session)).toString('base64url');
    // The load balancer says how the client came.
    const secure = request.headers['x-forwarded-proto'] === 'https' ? '; Secure' : '';
    const value = `${text}.${this.#sign(text)}`;
    return { 'Set-Cookie': `${name}=${value}; Path=/; Max-Age=${days * 24 * 3600}; HttpOnly; SameSite=Lax${secure}` };
  }

  #sign(text) {
    return createHmac('sha256', this.#secret).update(text).digest('base64url');
  }
}

/** An empty cart. Its id tells an order that is sent twice from two orders. */
export const newCart = () => ({ id: randomUUID(), items: {} });
