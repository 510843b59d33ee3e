// Calls of other services of the shop.

const longestCall = 3_000; // ms

/** A call that had no answer to go on with. The client may try again. */
export class CallError extends Error {}

/** Asks the service at a URL for a path, and returns the JSON of its answer. */
export async function ask(url, path, headers = {}) {
  let response;
  try {
    response = await fetch(new URL(path, url), { headers, signal: AbortSignal.timeout(longestCall) });
    if (response.ok) return await response.json();
  } catch (error) {
    throw new CallError(`${url}${path} cannot be asked: ${error.cause?.message ?? error.message}`, { cause: error });
  }
  throw new CallError(`${url}${path} answers ${response.status}`);
}
