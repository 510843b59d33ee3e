import { deployment } from "./deployment.js";
import { h } from "./dom.js";
import { asProblem, creator, dialog, edit, field, form, problemBox, remove } from "./forms.js";

const perPage = 50;
// Lists of posts have the posts' ids in this media type, if the posts are in a store.
const withIds = { Accept: "application/vnd.cutover.v2+json, application/json" };
const mostWriters = 1000;

// A view is a function of what it may use: client asks the API, id is that of the path, go opens a
// path, and refresh the same view again; both say a text. The view is a title and nodes.

export async function threads({ client, go }) {
  const create = deployment.writes("threads") && action("New thread", () => newThread(client, go));
  return {
    title: "Threads",
    nodes: [heading("Threads", create), await list(client, "/api/threads", "There are no threads yet.", (thread, notice) =>
      h("li", {}, h("a", { href: `/threads/${thread.id}`, dir: "auto" }, thread.title), h("p", { class: "quiet" }, "by ", person(client, thread.createdBy, notice))))],
  };
}

export async function thread({ client, id, go, refresh }) {
  const { body } = await client.record("threads", id);
  const notice = h("div");
  const actions = deployment.writes("threads") && [
    action("Edit thread", () => edit({ client, kind: "threads", id, heading: "Edit thread", fields: [{ name: "title", label: "Title" }], done: () => refresh("The thread is changed.") })),
    action("Delete thread", () => remove({ client, kind: "threads", id, heading: "Delete this thread?", text: (t) => t.title, done: () => go("/", "The thread is deleted.") })),
  ];
  return {
    title: body.title,
    nodes: [heading(body.title, actions), h("p", { class: "quiet" }, "by ", person(client, body.createdBy, notice)), notice,
      h("h2", {}, "Posts"), await posts({ client, path: `/api/posts/in-thread/${id}`, empty: "There are no posts yet.", refresh, about: (post, notice) => ["by ", person(client, post.user, notice)] }),
      deployment.writes("posts") ? action("New post", () => newPost(client, Number(id), refresh)) : null],
  };
}

export async function users({ client, go }) {
  const create = deployment.writes("users") && action("New user", () => newUser(client, go));
  return {
    title: "Users",
    nodes: [heading("Users", create), await list(client, "/api/users", "There are no users yet.", (user) =>
      h("li", {}, h("a", { href: `/users/${user.id}`, dir: "auto" }, user.name), h("p", { class: "quiet", dir: "auto" }, user.username)))],
  };
}

export async function user({ client, id, go, refresh }) {
  const { body } = await client.record("users", id);
  const actions = deployment.writes("users") && [
    action("Edit user", () => edit({ client, kind: "users", id, heading: "Edit user", fields: userFields, done: () => refresh("The user is changed.") })),
    action("Delete user", () => remove({ client, kind: "users", id, heading: "Delete this user?", text: (u) => u.name, done: () => go("/users", "The user is deleted.") })),
  ];
  return {
    title: body.name,
    nodes: [heading(body.name, actions), h("p", { class: "quiet", dir: "auto" }, body.username), body.bio ? h("p", { class: "text", dir: "auto" }, body.bio) : null,
      h("h2", {}, "Posts"), await posts({ client, path: `/api/posts/by-user/${id}`, empty: "This user has no posts.", refresh, about: (post, notice) => ["in ", subject(client, post.thread, notice)] })],
  };
}

// notFound is the view of a path that is none, or of a record that does not exist.
export function notFound(detail) {
  return { title: "Not found", nodes: [heading("Not found"), h("p", { class: "text" }, detail), h("p", {}, h("a", { href: "/" }, "To all threads"))] };
}

// failed is the view of an answer that is not what was asked for.
export function failed(error, refresh) {
  const problem = asProblem(error);
  if (problem.status === 204) return notFound(`${problem.detail} It is answered with status 204${problem.by ? ` by ${problem.by}` : ""}.`);
  return { title: problem.heading, nodes: [heading(problem.heading), problemBox(problem, () => refresh())] };
}

const heading = (text, actions) => h("div", { class: "row" }, h("h1", { tabindex: "-1", dir: "auto" }, text), actions ? h("div", { class: "actions" }, actions) : null);

// action is a button whose mistakes are shown in a window.
function action(label, run, name = null) {
  return h("button", {
    type: "button", "aria-label": name, click: async () => {
      try {
        await run();
      } catch (error) {
        const problem = asProblem(error);
        if (problem.status === 204) problem.detail += " It was deleted meanwhile.";
        dialog(label, problemBox(problem));
      }
    },
  }, label);
}

// list shows the records of a list page by page. Item renders one of them, and gets an element for
// what cannot be shown.
async function list(client, path, empty, item, headers) {
  const notice = h("div");
  const items = h("ul", { class: "list" });
  const box = h("div", {}, items, notice);
  const add = async (page) => {
    const { records, next } = await client.page(page, headers);
    const added = records.map((record) => item(record, notice));
    items.append(...added);
    if (next) {
      const more = action("More", async () => {
        const first = await add(next);
        more.remove();
        if (first) {
          first.tabIndex = -1;
          first.focus();
        }
      });
      box.append(more);
    }
    return added[0];
  };
  await add(`${path}?limit=${perPage}`);
  if (!items.children.length) items.replaceWith(h("p", {}, empty));
  return box;
}

// posts is a list of posts. Its problems are shown in its place, so that the rest of the view stays.
async function posts({ client, path, empty, refresh, about }) {
  try {
    return await list(client, path, empty, (post, notice) => {
      const own = { client, kind: "posts", id: post.id };
      const writes = post.id && deployment.writes("posts");
      return h("li", {}, h("p", { class: "quiet" }, about(post, notice)), h("p", { class: "text", dir: "auto" }, post.text), writes ? h("div", { class: "actions" },
        action("Edit", () => edit({ ...own, heading: "Edit post", fields: [{ name: "text", label: "Text", control: "textarea" }], done: () => refresh("The post is changed.") }), `Edit post ${post.id}`),
        action("Delete", () => remove({ ...own, heading: "Delete this post?", text: (p) => p.text, done: () => refresh("The post is deleted.") }), `Delete post ${post.id}`)) : null);
    }, withIds);
  } catch (error) {
    if (client.signal.aborted) throw error;
    return problemBox(asProblem(error), () => refresh());
  }
}

// person and subject link to a record that is only known by its id, and show its name once it is
// there. If it cannot be had, the link keeps the id, and the notice says why.
const person = (client, id, notice) => link(client, "users", id, notice, (user) => user.name);
const subject = (client, id, notice) => link(client, "threads", id, notice, (thread) => thread.title);

function link(client, kind, id, notice, name) {
  const element = h("a", { href: `/${kind}/${id}`, dir: "auto" }, `${kind.slice(0, -1)} ${id}`);
  client.known(kind, id).then(({ body }) => { element.textContent = name(body); }, (error) => {
    const problem = asProblem(error);
    if (problem.status === 204) element.append(" (deleted)");
    else if (!client.signal.aborted && !notice.children.length) notice.append(problemBox(problem));
  });
  return element;
}

const userFields = [
  { name: "username", label: "Username" },
  { name: "name", label: "Name" },
  { name: "bio", label: "About", control: "textarea", required: false },
];

// The user who wrote last from here, as nobody signs in.
const writer = {
  get id() { try { return localStorage.getItem("writer"); } catch { return null; } },
  set id(id) { try { localStorage.setItem("writer", id); } catch { /* nothing is kept */ } },
};

// writerField lets somebody choose the user of what they write.
async function writerField(client, name) {
  const all = [];
  let next = "/api/users?limit=200";
  while (next && all.length < mostWriters) {
    const page = await client.page(next);
    all.push(...page.records);
    next = page.next;
  }
  const options = all.map((user) => h("option", { value: String(user.id), selected: String(user.id) === writer.id }, `${user.name} (${user.username})`));
  return field({
    name, label: "Write as", control: "select", options: [h("option", { value: "" }, "Choose a user"), ...options],
    hint: next ? `The list has the first ${all.length} users.` : "Nobody signs in here: choose any user.",
  });
}

async function newThread(client, go) {
  const create = creator(client, "/api/threads");
  const close = dialog("New thread", form({
    fields: [field({ name: "title", label: "Title" }), await writerField(client, "createdBy")], label: "Create thread",
    submit: async ({ title, createdBy }, tell) => {
      const { body } = await create({ title, createdBy: Number(createdBy) }, tell);
      writer.id = createdBy;
      close();
      go(`/threads/${body.id}`, "The thread is created.");
    },
  }));
}

async function newUser(client, go) {
  const create = creator(client, "/api/users");
  const close = dialog("New user", form({
    fields: userFields.map(field), label: "Create user",
    submit: async (values, tell) => {
      const { body } = await create(values, tell);
      writer.id = body.id;
      close();
      go(`/users/${body.id}`, "The user is created.");
    },
  }));
}

async function newPost(client, thread, refresh) {
  const create = creator(client, "/api/posts");
  const close = dialog("New post", form({
    fields: [field({ name: "text", label: "Text", control: "textarea" }), await writerField(client, "user")], label: "Create post",
    submit: async ({ text, user }, tell) => {
      await create({ thread, text, user: Number(user) }, tell);
      writer.id = user;
      close();
      refresh("The post is created, at the end of the thread.");
    },
  }));
}
