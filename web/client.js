const lostStatus = [0, 502, 503, 504];

// Problem is an answer that is not what was asked for, or no answer: then its status is 0.
export class Problem extends Error {
  constructor(status, title, detail, { errors = [], by = null, retryAfter = null, path = "" } = {}) {
    super(detail || title);
    Object.assign(this, { status, title, detail, errors, by, retryAfter, path });
  }

  get heading() {
    return this.status ? `${this.status} ${this.title}` : this.title;
  }

  // A lost request may be asked again. Whether it was done is not known.
  get lost() {
    return lostStatus.includes(this.status);
  }
}

// HTTP/2 and HTTP/3 have a status without its name.
const titles = {
  400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
  412: "Precondition Failed", 413: "Content Too Large", 415: "Unsupported Media Type", 422: "Unprocessable Content",
  428: "Precondition Required", 429: "Too Many Requests", 500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
  503: "Service Unavailable", 504: "Gateway Timeout",
};

// problemOf reads a problem document (RFC 9457), or else the text of an answer: load balancers, API Gateway and
// CloudFront have their own.
async function problemOf(response, path) {
  const text = await response.text().catch(() => "");
  const type = response.headers.get("Content-Type") ?? "";
  let document = {};
  if (/^application\/(problem\+)?json\b/.test(type)) {
    try { document = Object(JSON.parse(text)); } catch { /* the text is shown */ }
  }
  const plain = type.startsWith("text/html") ? new DOMParser().parseFromString(text, "text/html").body.textContent.trim() : text.slice(0, 2000);
  const title = document.title ?? (response.statusText || titles[response.status] || "");
  return new Problem(response.status, title, document.detail ?? document.message ?? (plain === title ? "" : plain), {
    errors: Array.isArray(document.errors) ? document.errors : [],
    by: answeredBy(response), retryAfter: response.headers.get("Retry-After"), path,
  });
}

export const answeredBy = (response) => response.headers.get("X-Answered-By");

// Client sends the requests of one view, and keeps which service answered which kind of request.
export class Client {
  by = new Map();
  // answered is told of each answer.
  answered = () => {};
  #records = new Map();

  constructor(signal) {
    this.signal = signal;
  }

  async #ask(path, options) {
    let response;
    try {
      response = await fetch(path, { cache: "no-store", ...options });
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new Problem(0, "No answer", `${options.method ?? "GET"} ${path} was not answered (${error.message}).`, { path });
    }
    this.by.set(path.split(/[/?]/)[2], answeredBy(response));
    this.answered();
    if (!response.ok) throw await problemOf(response, path);
    let body = null;
    if (response.status !== 204) {
      try {
        body = await response.json();
      } catch (error) {
        if (options.signal?.aborted) throw error;
        throw new Problem(0, "No whole answer", `The answer to ${options.method ?? "GET"} ${path} broke off or is no JSON (${error.message}).`, { path });
      }
    }
    return { body, status: response.status, headers: response.headers, etag: response.headers.get("ETag") };
  }

  get(path, headers = {}) {
    return this.#ask(path, { headers, signal: this.signal });
  }

  // record gets a record with its ETag. A record that does not exist is a problem.
  async record(kind, id) {
    const answer = await this.get(`/api/${kind}/${id}`);
    if (answer.status === 204) {
      throw new Problem(204, "No Content", `The service has no ${kind.slice(0, -1)} with the id ${id}.`, { by: this.by.get(kind), path: `/api/${kind}/${id}` });
    }
    return answer;
  }

  // known is record for what other records refer to. It asks once.
  known(kind, id) {
    const key = `${kind}/${id}`;
    if (!this.#records.has(key)) this.#records.set(key, this.record(kind, id));
    return this.#records.get(key);
  }

  // page gets the records of a list, and the path of its next page or null.
  async page(path, headers) {
    const answer = await this.get(path, headers);
    const link = /<(\/api\/[^>]*)>;\s*rel="next"/.exec(answer.headers.get("Link") ?? "");
    return { records: answer.body ?? [], next: link && link[1] };
  }

  // Writes go on if the view is left.
  send(method, path, body, headers = {}) {
    const options = { method, headers: { ...headers } };
    if (body !== undefined) {
      options.headers["Content-Type"] = "application/json";
      options.body = body;
    }
    return this.#ask(path, options);
  }

  // create sends a POST. If the answer is lost, it sends the same again with the same key, so that
  // there is one record. It tells again before each repeat.
  async create(path, body, key, again) {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.send("POST", path, body, { "Idempotency-Key": key });
      } catch (problem) {
        const running = problem.status === 409 && problem.retryAfter;
        if (attempt === attempts || !(problem.lost || running)) throw problem;
        again(problem, attempt + 1);
        await delay(1000 * Math.min(5, Number(problem.retryAfter) || 1));
      }
    }
  }
}

export const attempts = 3;

export const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// newKey is an Idempotency-Key. crypto.randomUUID would need HTTPS.
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
