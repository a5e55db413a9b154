// Writes a storage folder as applications in JavaScript have one, for tests/cli/folder.rs: two stock
// repos of automerge-repo that talk to each other, one of which keeps what it has in `storage/`. What its
// documents hold stands in documents.json, by id. Run `npm ci && npm run make` to make them anew; ids,
// actors and times are fixed, so that files of documents are the same each time.
import * as A from "@automerge/automerge";
import { NetworkAdapter, Repo, interpretAsDocumentId } from "@automerge/automerge-repo";
import { NodeFSStorageAdapter } from "@automerge/automerge-repo-storage-nodefs";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FOLDER = "storage";
const actor = (n) => n.toString(16).padStart(2, "0").repeat(16);
const id = (n) => interpretAsDocumentId(new Uint8Array(16).map((_, at) => (at * 37 + n * 101) % 256));
const at = (seconds) => ({ time: 1700000000 + seconds });

function plain(value) {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("base64") };
  if (value instanceof Date) return { $time: value.toISOString() };
  if (value instanceof A.Counter) return value.value;
  if (A.isImmutableString(value)) return value.toString();
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  }
  return value;
}

// One end of a link between two repos of this process.
class Link extends NetworkAdapter {
  static pair() {
    const [one, other] = [new Link(), new Link()];
    [one.far, other.far] = [other, one];
    return [one, other];
  }
  isReady() { return this.peerId !== undefined; }
  async whenReady() {}
  connect(peerId, peerMetadata) {
    Object.assign(this, { peerId, peerMetadata });
    if (!this.far.isReady()) return;
    for (const end of [this, this.far]) {
      const { peerId, peerMetadata } = end.far;
      queueMicrotask(() => end.emit("peer-candidate", { peerId, peerMetadata }));
    }
  }
  send(message) { setImmediate(() => this.far.emit("message", structuredClone(message))); }
  disconnect() {}
}

// An edit by an actor of its own, as another device would bring it.
function edit(handle, who, seconds, change, message) {
  handle.update((doc) => {
    const mine = A.clone(doc, { actor: actor(who) });
    return A.merge(doc, A.change(mine, { ...at(seconds), message }, change));
  });
}

function begin(repo, n, content) {
  const doc = A.change(A.init({ actor: actor(n) }), at(0), (d) => { Object.assign(d, content); });
  return repo.import(A.save(doc), { docId: id(n) });
}

const words = (count, seed) => {
  const text = [];
  for (let n = 0; n < count; n++) {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    text.push(seed.toString(36));
  }
  return text.join(" ");
};

// A storage whose name is not drawn at random, as a repo would.
async function stored(folder, n) {
  const storage = new NodeFSStorageAdapter(folder);
  const name = `5d1f3c2e-0000-4000-8000-00000000000${n}`;
  await storage.save(["storage-adapter-id"], new TextEncoder().encode(name));
  return storage;
}

rmSync(FOLDER, { recursive: true, force: true });
const elsewhere = mkdtempSync(join(tmpdir(), "device-"));
const [here, there] = Link.pair();
const repo = new Repo({ storage: await stored(FOLDER, 1), network: [here], peerId: "server", saveDebounceRate: 1 });
const other = new Repo({ storage: await stored(elsewhere, 2), network: [there], peerId: "device", saveDebounceRate: 1 });

const flush = async (...handles) => repo.flush(handles.map((it) => it.documentId));
const settled = () => new Promise((resolve) => setTimeout(resolve, 300));

// 1: as it was made, one snapshot.
const note = begin(repo, 1, { title: "Note", done: false });
await flush(note);

// 2: a large snapshot, and a file for each edit after it.
const journal = begin(repo, 2, { title: "Journal", text: words(350, 7), entries: [] });
await flush(journal);
for (const [n, day] of ["Mo", "Tu", "We", "Th"].entries()) {
  edit(journal, 2 + (n % 2) * 16, n, (d) => { d.entries.push({ day, mood: "😀", n: n + 1 }); }, "day");
  await flush(journal);
}
edit(journal, 2, 9, (d) => { A.splice(d, ["text"], 0, 4, "Once"); delete d.entries[0].mood; });
edit(journal, 18, 9, (d) => { A.splice(d, ["text"], 9, 0, "ß字"); });
await flush(journal);

// 3: every kind of value, edited on two sides at once.
const scalars = begin(repo, 3, {
  padding: words(300, 11), integer: 7, float: 1.5, yes: true, nothing: null, raw: new A.ImmutableString("raw"),
  bytes: new Uint8Array([0, 1, 254, 255]), date: new Date(1700000000000), count: new A.Counter(5),
});
await flush(scalars);
scalars.update((doc) => {
  const ours = A.change(A.clone(doc, { actor: actor(19) }), at(1), (d) => { d.float = 2.5; d.count.increment(1); });
  const theirs = A.change(A.clone(doc, { actor: actor(20) }), at(2), (d) => { d.float = 3.5; d.count.increment(10); });
  return A.merge(A.merge(doc, ours), theirs);
});
await flush(scalars);
scalars.update((doc) => {
  const joined = A.clone(doc, { actor: actor(19) });
  return A.merge(doc, A.emptyChange(joined, { ...at(3), message: "seen" }));
});
await flush(scalars);

// 4: made by the device, came over the link, edited there again.
const theirs = begin(other, 4, { board: { todo: words(300, 13), done: [] } });
await settled();
const board = await repo.find(theirs.url);
await flush(board);
edit(theirs, 20, 1, (d) => { d.board.done.push("write"); });
await settled();
edit(theirs, 20, 2, (d) => { d.board.done.push("read"); });
await settled();
await flush(board);

// 5: small.
const list = begin(repo, 5, { items: ["Milk"] });
await flush(list);
edit(list, 5, 1, (d) => { d.items.push("Brot 🥖"); });
await flush(list);

// What is in the folder is what counts: a repo that knows nothing else finds it there.
await settled();
await repo.shutdown();
await other.shutdown();
rmSync(elsewhere, { recursive: true });
const fresh = new Repo({ storage: new NodeFSStorageAdapter(FOLDER) });
const documents = {};
for (const handle of [note, journal, scalars, board, list]) {
  const found = await fresh.find(handle.url);
  const doc = found.doc();
  documents[handle.documentId] = { heads: A.getHeads(doc).sort(), value: plain(A.toJS(doc)) };
}
writeFileSync("documents.json", JSON.stringify(documents, null, 1) + "\n");
process.exit(0);
