// Orders: placed, listed, and as a stream of events.
import { HttpError, json, notFound } from './http.js';
import { newCart } from './session.js';

export const routes = ({ sessions, cart, store, events }) => [
  ['GET', '/api/orders', ({ request }) => json(store.ofSession(sessions.read(request).id))],
  ['POST', '/api/orders', async ({ request }) => {
    const session = sessions.read(request);
    const { items, total } = await cart(request, session);
    if (items.length === 0) throw new HttpError(409, 'the cart is empty');
    // The same cart is one order, however often it is sent.
    const order = store.place({ cart: session.cart.id, session: session.id, items, total });
    session.cart = newCart();
    return json(order, { status: 201, headers: { Location: `/api/orders/${order.id}`, ...sessions.write(request, session) } });
  }],
  ['GET', '/api/orders/events', ({ request, response }) => events.open(request, response)],
  ['GET', '/api/orders/:id', ({ request, params }) => {
    const order = store.get(Number(params.id), sessions.read(request).id);
    return order ? json(order) : notFound();
  }],
];
