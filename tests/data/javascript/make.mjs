// Writes documents as applications in JavaScript make them, for tests/it/javascript.rs: each as saved,
// and what it shows as JSON. Run `npm ci && npm run make` to make them anew; actors and times are
// fixed, so the files are the same each time.
import * as A from "@automerge/automerge";
import { writeFileSync } from "node:fs";

const actor = (n) => n.toString(16).padStart(2, "0").repeat(16);
const at = (seconds) => ({ time: 1700000000 + seconds });
const change = (doc, seconds, edit, message) =>
  A.change(doc, { ...at(seconds), message }, edit);

function plain(value) {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("base64") };
  if (value instanceof Date) return { $time: value.toISOString() };
  if (value instanceof A.Counter) return value.value;
  if (A.isImmutableString(value)) return value.toString();
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value).map(([key, inner]) => [key, plain(inner)]);
    return Object.fromEntries(entries);
  }
  return value;
}

function write(name, doc) {
  writeFileSync(`${name}.automerge`, A.save(doc));
  writeFileSync(`${name}.json`, JSON.stringify(plain(A.toJS(A.load(A.save(doc)))), null, 1) + "\n");
}

function todo() {
  let doc = A.from({ title: "Groceries", items: [] }, { actor: actor(1) });
  for (const [n, title] of ["Milk", "Brot 🥖", "Äpfel"].entries()) {
    doc = change(doc, n, (d) => d.items.push({ title, done: false, tags: ["food"] }), "add");
  }
  let other = A.clone(doc, { actor: actor(2) });
  doc = change(doc, 10, (d) => { d.items[0].done = true; });
  other = change(other, 11, (d) => { d.items.splice(1, 1); d.items.insertAt(0, { title: "Tea", done: false, tags: [] }); });
  doc = A.merge(doc, other);
  return change(doc, 12, (d) => { delete d.items[0].tags; d.items[1].note = null; });
}

function richText() {
  let doc = A.from({ body: "The quick brown fox" }, { actor: actor(3) });
  doc = change(doc, 1, (d) => A.mark(d, ["body"], { start: 4, end: 9, expand: "both" }, "bold", true));
  doc = change(doc, 2, (d) => A.splice(d, ["body"], 9, 0, "er, lazier"));
  doc = change(doc, 3, (d) => A.mark(d, ["body"], { start: 0, end: 3, expand: "none" }, "link", "https://example.org"));
  let other = A.clone(doc, { actor: actor(4) });
  other = change(other, 4, (d) => A.unmark(d, ["body"], { start: 5, end: 8, expand: "after" }, "bold"));
  doc = change(doc, 5, (d) => A.splitBlock(d, ["body"], 10, { type: "paragraph", parents: [], attrs: {} }));
  doc = A.merge(doc, other);
  return change(doc, 6, (d) => A.updateText(d, ["body"], "The quicker, lazier brown fox jumps"));
}

function board() {
  const card = (title) => ({ title, votes: new A.Counter(0), due: new Date(1700000000000) });
  let doc = A.from({ columns: { todo: { cards: {} }, done: { cards: {} } }, order: ["todo", "done"] }, { actor: actor(5) });
  doc = change(doc, 1, (d) => { d.columns.todo.cards.a = card("Write"); d.columns.todo.cards.b = card("Read"); });
  let other = A.clone(doc, { actor: actor(6) });
  doc = change(doc, 2, (d) => { d.columns.todo.cards.a.votes.increment(2); d.columns.done.cards.c = card("Rest"); });
  other = change(other, 3, (d) => { d.columns.todo.cards.a.votes.decrement(1); delete d.columns.todo.cards.b; d.order.push("later"); });
  doc = A.merge(doc, other);
  return change(doc, 4, (d) => { d.columns.todo.cards.a.title = "Write more"; });
}

function scalars() {
  let doc = A.from({
    integer: 7, negative: -7.5, float: 1.5, big: 2 ** 40, yes: true, nothing: null,
    raw: new A.ImmutableString("not a text"), bytes: new Uint8Array([0, 1, 254, 255]),
    date: new Date(-5),
    count: new A.Counter(5), text: "naïve 字 😀",
  }, { actor: actor(7) });
  let other = A.clone(doc, { actor: actor(8) });
  doc = change(doc, 1, (d) => { d.float = 2.5; d.count.increment(1); });
  other = change(other, 2, (d) => { d.float = 3.5; d.count.increment(10); d.yes = false; });
  doc = A.merge(doc, other);
  return A.emptyChange(doc, { ...at(3), message: "seen" });
}

// Three people who type into one text, apart and together.
function essay() {
  let seed = 7;
  const random = (bound) => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed % bound; };
  let docs = [1, 2, 3].map((n) => A.init({ actor: actor(16 + n) }));
  docs[0] = change(docs[0], 0, (d) => { d.text = "It was a dark night."; });
  docs = docs.map((doc, n) => (n ? A.merge(doc, docs[0]) : doc));
  for (let round = 1; round <= 150; round++) {
    const who = random(3);
    docs[who] = change(docs[who], round, (d) => {
      const length = d.text.length;
      const place = random(length + 1);
      const remove = Math.min(random(3), length - place);
      A.splice(d, ["text"], place, remove, ["a", " stormy", "ß", "…"][random(4)]);
    });
    if (round % 10 === 0) docs[who] = A.merge(docs[who], docs[(who + 1) % 3]);
  }
  return A.merge(A.merge(docs[0], docs[1]), docs[2]);
}

for (const [name, make] of Object.entries({ todo, richText, board, scalars, essay })) write(name, make());
