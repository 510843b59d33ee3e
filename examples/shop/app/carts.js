// The cart of a session.
import { HttpError, json, notFound } from './http.js';
import { product } from './products.js';

const most = 99;

/** What is in a cart, with the prices of a list of products. */
export function content(cart, products) {
  const items = Object.entries(cart.items)
    .map(([id, quantity]) => ({ product: product(products, id), quantity }))
    .filter((item) => item.product); // the cookie may be older than the list of products
  return { items, total: items.reduce((sum, item) => sum + item.product.price * item.quantity, 0) };
}

export const routes = ({ sessions, products }) => [
  ['GET', '/api/carts', async ({ request }) => json(content(sessions.read(request).cart, await products()))],
  ['PUT', '/api/carts/:id', async ({ request, params, body }) => {
    const { quantity } = await body();
    if (!Number.isInteger(quantity) || quantity < 0 || quantity > most) {
      throw new HttpError(400, `"quantity" must be a whole number from 0 to ${most}`);
    }
    const all = await products();
    const found = product(all, params.id);
    if (!found) return notFound();
    const session = sessions.read(request);
    if (quantity > 0) session.cart.items[found.id] = quantity;
    else delete session.cart.items[found.id];
    return json(content(session.cart, all), { headers: sessions.write(request, session) });
  }],
];
