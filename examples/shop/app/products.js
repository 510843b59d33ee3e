// The products of the shop. Prices are in cents.
import { json, notFound } from './http.js';

const products = [
  { id: 1, name: 'Coffee, 500 g', price: 899 },
  { id: 2, name: 'Green tea, 100 g', price: 649 },
  { id: 3, name: 'Teapot', price: 3450 },
  { id: 4, name: 'Cup', price: 950 },
  { id: 5, name: 'Café filters, 80 pieces', price: 329 },
];

/** All products. */
export const list = () => products;

/** The product with an id, or undefined. */
export const product = (list, id) => list.find((p) => p.id === Number(id));

export const routes = () => [
  ['GET', '/api/products', () => json(products)],
  ['GET', '/api/products/:id', ({ params }) => {
    const found = product(products, params.id);
    return found ? json(found) : notFound();
  }],
];
