import { attempts, newKey, Problem } from "./client.js";
import { h } from "./dom.js";

let count = 0;

// problemBox shows an answer that is not what was asked for, as it is. Again asks once more.
export function problemBox(problem, again) {
  const by = problem.by ? `Answered by ${problem.by}.` : problem.status ? "The answer does not say which service sent it." : "";
  return h("div", { class: "problem", tabindex: "-1", role: "group", "aria-label": "Problem" },
    h("p", {}, h("strong", {}, problem.heading)),
    problem.detail ? h("p", { class: "text" }, problem.detail) : null,
    problem.errors?.length ? h("ul", {}, problem.errors.map((e) => h("li", {}, h("code", {}, e.pointer || "the body"), ` ${e.detail}`))) : null,
    h("p", { class: "quiet" }, [by, problem.path, problem.retryAfter ? `Retry after ${problem.retryAfter} s.` : ""].filter(Boolean).join(" ")),
    again ? h("button", { type: "button", click: again }, "Try again") : null);
}

// asProblem lets mistakes of the page itself be seen, too.
export const asProblem = (error) => (error instanceof Problem ? error : new Problem(0, "The page has a mistake", String(error)));

// field makes a labelled control. Control is "input", "textarea" or "select".
export function field({ name, label, control = "input", value = "", required = true, hint = "", options = [] }) {
  const id = `field-${++count}`;
  const element = h(control, { id, name, required, autocomplete: "off", dir: control === "select" ? null : "auto", rows: control === "textarea" ? "5" : null, "aria-describedby": hint ? `${id}-hint` : null },
    options);
  if (control !== "select") element.value = value;
  return h("div", { class: "field" }, h("label", { for: id }, label, required ? null : h("span", { class: "quiet" }, " (optional)")), element,
    hint ? h("p", { id: `${id}-hint`, class: "quiet" }, hint) : null);
}

// form makes a form. Submit gets the texts of its fields, and a function to tell how it goes. If submit fails, the form shows the problem and marks the fields that the problem document names.
export function form({ fields, label, submit, problem = (p) => problemBox(p) }) {
  const notice = h("div");
  const progress = h("p", { class: "quiet", role: "status" });
  const button = h("button", { type: "submit", class: "primary" }, label);
  let running = false;
  const element = h("form", {
    submit: async (event) => {
      event.preventDefault();
      if (running) return;
      running = true;
      button.setAttribute("aria-disabled", "true");
      try {
        await submit(Object.fromEntries(new FormData(element)), (text) => { progress.textContent = text; });
        notice.replaceChildren();
      } catch (error) {
        const p = asProblem(error);
        mark(element, p.errors);
        notice.replaceChildren(await problem(p, element));
        notice.firstChild.focus();
      } finally {
        running = false;
        progress.textContent = "";
        button.removeAttribute("aria-disabled");
      }
    },
    input: (event) => event.target.removeAttribute("aria-invalid"),
  }, fields, notice, progress, h("div", { class: "row" }, button));
  return element;
}

function mark(element, errors) {
  const wrong = new Set(errors.map((e) => String(e.pointer).split("/")[1]));
  for (const control of element.querySelectorAll("[name]")) {
    if (wrong.has(control.name)) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }
}

// creator sends new records. The key belongs to a body: the same body again has the same key, so
// that a repeat after a lost answer makes no second record.
export function creator(client, path) {
  let sent = {};
  return async (record, tell) => {
    const body = JSON.stringify(record);
    if (sent.body !== body) sent = { body, key: newKey() };
    const answer = await client.create(path, body, sent.key, (problem, attempt) =>
      tell(`${problem.heading}. The page sends the same again with the same key (${attempt} of ${attempts}).`));
    sent = {};
    return answer;
  };
}

// dialog opens a window with a heading and content. It returns a function that closes it. The focus
// comes back to where it was.
export function dialog(heading, ...content) {
  const id = `dialog-${++count}`;
  const element = h("dialog", { "aria-labelledby": id, close: () => element.remove() },
    h("div", { class: "row" }, h("h2", { id }, heading), h("button", { type: "button", click: () => element.close() }, "Close")),
    content);
  document.body.append(element);
  element.showModal();
  element.querySelector("input, textarea, select")?.focus();
  return () => element.close();
}

// edit opens a window to change the fields of a record. The record is written only if it is still
// the one that was read: its ETag goes with the request. If it is not, both versions are shown.
export async function edit({ client, kind, id, fields, heading, done }) {
  let stored = await client.record(kind, id);
  const path = `/api/${kind}/${id}`;
  const controls = fields.map((f) => field({ ...f, value: stored.body[f.name] }));
  let sent;

  const conflict = async (problem, element) => {
    const box = problemBox(problem);
    if (problem.status !== 412 && !problem.lost) return box;
    let now;
    try {
      now = await client.record(kind, id);
    } catch (error) {
      box.append(h("p", {}, "What is stored cannot be read now:"), problemBox(asProblem(error)));
      return box;
    }
    stored = now;
    if (Object.keys(sent).every((name) => now.body[name] === sent[name])) {
      box.append(h("p", {}, "What is stored is what you wrote. Close this window."));
      return box;
    }
    box.append(
      h("p", {}, problem.status === 412 ? "Somebody changed or replaced it since you opened it. Nothing of yours was written. Stored is now:" : "What you wrote is not stored. Stored is:"),
      h("dl", {}, fields.map((f) => h("div", {}, h("dt", {}, f.label), h("dd", { class: "text" }, String(now.body[f.name] ?? ""))))),
      h("p", {}, "To replace it with your text, save again. Or go on from what is stored:"),
      h("button", { type: "button", click: () => {
        for (const f of fields) element.elements[f.name].value = now.body[f.name] ?? "";
        box.remove();
        element.elements[fields[0].name].focus();
      } }, "Take what is stored"));
    return box;
  };

  const close = dialog(heading, form({
    fields: controls, label: "Save", problem: conflict,
    submit: async (values) => {
      sent = { ...stored.body, ...values };
      await client.send("PUT", path, JSON.stringify(sent), { "If-Match": stored.etag });
      close();
      done();
    },
  }));
}

// remove opens a window that asks before it deletes a record, if the record is still the one read.
export async function remove({ client, kind, id, heading, text, done }) {
  const stored = await client.record(kind, id);
  const close = dialog(heading, h("blockquote", { class: "text", dir: "auto" }, text(stored.body)), form({
    fields: [], label: "Delete",
    problem: (problem) => {
      const box = problemBox(problem);
      if (problem.status === 412) box.append(h("p", {}, "Somebody changed it since you opened this window, and it is still there. Close the window and look at it again."));
      return box;
    },
    submit: async () => {
      await client.send("DELETE", `/api/${kind}/${id}`, undefined, { "If-Match": stored.etag });
      close();
      done();
    },
  }));
}
