// The deployment, as /deployment.json has it. Listeners of "change" hear when it is another one.
export const deployment = new (class extends EventTarget {
  environment = "";
  phase = "";
  places = {};
  monolith = "api";
  services = ["users", "threads", "posts"].map((name) => ({ name, paths: [`/api/${name}*`], writes: false }));
  // problem says why the deployment is not known.
  problem = "not asked yet";
  #text = "";

  async load() {
    let text, problem = "";
    try {
      const response = await fetch("/deployment.json", { cache: "no-store", signal: AbortSignal.timeout(10_000) });
      text = await response.text();
      if (!response.ok) problem = `/deployment.json is answered with ${response.status}`;
      else Object.assign(this, { places: {} }, JSON.parse(text));
    } catch (error) {
      problem = `/deployment.json cannot be read (${error.message})`;
    }
    if (text !== this.#text || problem !== this.problem) {
      [this.#text, this.problem] = [text, problem];
      this.dispatchEvent(new Event("change"));
    }
  }

  // position is the phase with the places of single services: "parallel, users 10%".
  get position() {
    return [this.phase, ...Object.entries(this.places ?? {}).map(([name, place]) => `${name} ${place}`)].filter(Boolean).join(", ");
  }

  // writes says whether a kind of records can be written from here.
  writes(kind) {
    return this.services.some((service) => service.writes && service.paths.some((pattern) => matches(pattern, `/api/${kind}`)));
  }
})();

// matches evaluates a path pattern of a load balancer: * is any text, ? one character.
export function matches(pattern, path) {
  const source = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${source}$`).test(path);
}
