import { Client } from "./client.js";
import { deployment } from "./deployment.js";
import { h } from "./dom.js";
import { watch } from "./panel.js";
import { failed, notFound, thread, threads, user, users } from "./views.js";

// The views by path. An id is written as the API writes it.
const views = [
  [/^\/(?:index\.html)?$/, threads],
  [/^\/threads\/([1-9]\d*)$/, thread],
  [/^\/users$/, users],
  [/^\/users\/([1-9]\d*)$/, user],
];

const main = document.getElementById("main");
const status = document.getElementById("status");

let leaving = new AbortController();
let shown = "";

// show shows the view of the path, and says a text. The focus goes to the view's heading, but not
// when the page is opened: there a reader begins at the top.
async function show(text = "", opened = false) {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const client = new Client(signal);
  const path = shown = location.pathname;
  const refresh = (text) => { if (!signal.aborted) show(text); };
  const open = (path, text) => { if (!signal.aborted) go(path, text); };

  main.setAttribute("aria-busy", "true");
  status.textContent = "";
  let view = notFound(`There is no page ${path}`);
  const [pattern, render] = views.find(([pattern]) => pattern.test(path)) ?? [];
  if (render) {
    try {
      view = await render({ client, id: pattern.exec(path)[1], go: open, refresh });
    } catch (error) {
      if (signal.aborted) return;
      view = failed(error, refresh);
    }
  }
  if (signal.aborted) return;
  document.title = `${view.title} · Forum`;
  main.replaceChildren(...view.nodes.filter(Boolean), answeredBy(client));
  main.setAttribute("aria-busy", "false");
  for (const link of document.querySelectorAll("nav a")) {
    if (link.pathname === path) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!opened) {
    scrollTo(0, 0);
    main.querySelector("h1").focus({ preventScroll: true });
  }
  status.textContent = text;
}

// answeredBy says which service answered what the view shows, also what comes later.
function answeredBy(client) {
  const line = h("p", { class: "quiet answered" });
  const tell = () => {
    const known = [...client.by].map(([kind, by]) => `${kind} by ${by ?? "a service without a name"}`);
    line.textContent = known.length ? `Answered: ${known.join(", ")}` : "";
  };
  client.answered = tell;
  tell();
  return line;
}

function go(path, text) {
  history.pushState(null, "", path);
  show(text);
}

addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (link.origin !== location.origin || link.getAttribute("href").startsWith("#")) return;
  event.preventDefault();
  go(link.pathname);
});

addEventListener("popstate", () => {
  if (location.pathname !== shown) show();
});

await deployment.load();
watch();
await show("", true);
