import { answeredBy, delay } from "./client.js";
import { deployment } from "./deployment.js";
import { h } from "./dom.js";
import { length, shares, side } from "./tally.js";

const panel = document.getElementById("services");
const log = panel.querySelector("[role=log]");
const button = document.getElementById("pause");
// Longest time for an answer, in milliseconds. After it, the request counts as lost.
const patience = 10_000;
const kept = 8;

let paused = false;
let sleeping = [];

const clock = () => new Date().toLocaleTimeString();

function note(text) {
  log.querySelector(".quiet")?.remove();
  log.prepend(h("p", {}, h("time", {}, clock()), " ", text));
  while (log.children.length > kept) log.lastChild.remove();
}

const set = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

// Tally asks the list of a service again and again.
class Tally {
  answers = [];
  lost = 0;
  stopped = false;

  constructor(service) {
    this.service = service;
    this.path = service.paths[0].split(/[*?]/)[0].replace(/\/$/, "");
    this.by = h("b", {}, "…");
    this.cells = Array.from({ length }, () => h("i", { class: "answer" }));
    this.share = h("p", { class: "quiet" });
    this.loss = h("p", { class: "loss", hidden: true });
    this.element = h("li", { "data-service": service.name },
      h("p", {}, h("span", { class: "service-name" }, service.name), ": answered by ", this.by),
      h("p", { class: "strip", "aria-hidden": "true" }, this.cells), this.share, this.loss);
  }

  async ask() {
    try {
      const response = await fetch(`${this.path}?limit=1`, { cache: "no-store", signal: AbortSignal.timeout(patience) });
      await response.arrayBuffer();
      const by = answeredBy(response);
      return { by, problem: response.ok ? "" : `status ${response.status}${by ? ` from ${by}` : ""}` };
    } catch (error) {
      return { by: null, problem: error.name === "TimeoutError" ? `no answer within ${patience / 1000} s` : "no answer" };
    }
  }

  take(answer) {
    this.answers = [...this.answers, answer].slice(-length);
    const before = this.side;
    this.side = side(this.answers, before);
    if (before && this.side !== before) note(`${this.service.name}: answered by ${this.side}, before by ${before}`);
    this.show(answer);
  }

  show(answer) {
    set(this.by, answer.problem ? "nobody" : answer.by ?? "a service without a name");
    this.by.className = kind(answer);
    this.cells.forEach((cell, i) => {
      const answer = this.answers[i - length + this.answers.length];
      cell.className = `answer ${answer ? kind(answer) : ""}`;
    });
    set(this.share, `${shares(this.answers)} of the last ${this.answers.length}`);
    if (answer.problem) {
      this.lost++;
      this.loss.hidden = false;
      set(this.loss, `${this.lost} lost, the last at ${clock()}: ${answer.problem}`);
    }
  }

  async run() {
    while (!this.stopped) {
      await awake();
      const answer = await this.ask();
      // What breaks off as the page is left says nothing about the service.
      if (!(document.hidden && answer.problem) && !paused) this.take(answer);
      await delay(period());
    }
  }
}

function kind(answer) {
  if (answer.problem) return "lost";
  if (!answer.by) return "unnamed";
  return answer.by === deployment.monolith ? "monolith" : "service";
}

// With many services, each is asked less often.
const period = () => Math.max(1000, 200 * deployment.services.length);

// awake waits until the page is visible and not paused.
async function awake() {
  while (paused || document.hidden) await new Promise((resolve) => sleeping.push(resolve));
}

function wake() {
  for (const resolve of sleeping.splice(0)) resolve();
}

let tallies = [];
let shown = "";

function showDeployment() {
  const { environment, position, problem, services } = deployment;
  const badge = document.querySelector(".phase");
  badge.hidden = !position;
  badge.textContent = `${environment} · ${position}`;
  badge.setAttribute("aria-label", `Phase of ${environment}: ${position}. Go to who answers`);
  document.getElementById("deployment").replaceChildren(
    ...(problem ? [h("div", {}, h("dt", {}, "Phase"), h("dd", { class: "loss" }, `not known: ${problem}`))] : [
      h("div", {}, h("dt", {}, "Environment"), h("dd", {}, environment)),
      h("div", {}, h("dt", {}, "Phase"), h("dd", { id: "phase" }, position)),
    ]));
  const names = JSON.stringify(services);
  if (names === shown) return;
  shown = names;
  for (const tally of tallies) tally.stopped = true;
  tallies = services.map((service) => new Tally(service));
  document.getElementById("tallies").replaceChildren(...tallies.map((tally) => tally.element));
  for (const tally of tallies) tally.run();
}

let position = null;

function changed() {
  showDeployment();
  if (deployment.problem) return;
  if (position !== null && position !== deployment.position) note(`Phase: ${deployment.position}, before ${position}`);
  position = deployment.position;
}

// watch shows who answers, for as long as the page is there.
export async function watch() {
  deployment.addEventListener("change", changed);
  changed();
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Resume" : "Pause";
    panel.classList.toggle("paused", paused);
    if (!paused) wake();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) wake(); });
  for (;;) {
    await delay(period());
    await awake();
    await deployment.load();
  }
}
