// One stock automerge-repo client: `node client.mjs PEER [FOLDER]` holds one Repo, which keeps its documents in
// the folder if there is one, and does what lines of JSON ask for (lines.mjs). Nothing of the libraries is
// replaced; what they complain about is answered at the end.
import { randomFillSync } from "node:crypto";
import { format, isDeepStrictEqual } from "node:util";
import * as A from "@automerge/automerge";
import { decodeHeads, Repo } from "@automerge/automerge-repo";
import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket";
import { NodeFSStorageAdapter } from "@automerge/automerge-repo-storage-nodefs";
import { converse, say, stir, until } from "./lines.mjs";

const [peerId, folder] = process.argv.slice(2);
const complaints = [];
const complain = (...words) => complaints.push(format(...words));
console.log = console.warn = console.error = complain;
process.on("uncaughtException", complain);

const repo = new Repo({
  peerId,
  storage: folder && new NodeFSStorageAdapter(folder),
  enableRemoteHeadsGossiping: true,
});
const handles = {}; // by document, as all of these
const confirmed = {}; // the heads that the hub has said it has
const messages = {}; // ephemeral ones, that others have sent
const remote = {}; // heads of other stores, by store
const frames = {}; // how many have come, by type
let adapter;

repo.networkSubsystem.on("peer", stir);
repo.networkSubsystem.on("peer-disconnected", stir);
repo.synchronizer.on("sync-state", ({ documentId, syncState }) => {
  confirmed[documentId] = syncState.theirHeads ?? [];
  stir();
});

const sorted = (heads) => [...heads].sort();
const heads = (id) => (handles[id]?.isReady() ? sorted(A.getHeads(handles[id].doc())) : []);
const value = (id) => (handles[id]?.isReady() ? plain(A.toJS(handles[id].doc())) : null);
const isConfirmed = (id) => heads(id).length > 0 && isDeepStrictEqual(sorted(confirmed[id] ?? []), heads(id));

// Values as JSON, in the words that syncline has for them.
function plain(value) {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("base64") };
  if (value instanceof Date) return { $time: value.toISOString() };
  if (value instanceof A.Counter) return value.value;
  if (A.isImmutableString(value)) return value.toString();
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  }
  return value;
}

function made(json) {
  if (Array.isArray(json)) return json.map(made);
  if (json === null || typeof json !== "object") return json;
  if ("$bytes" in json) return new Uint8Array(Buffer.from(json.$bytes, "base64"));
  if ("$time" in json) return new Date(json.$time);
  if ("$counter" in json) return new A.Counter(json.$counter);
  if ("$string" in json) return new A.ImmutableString(json.$string);
  return Object.fromEntries(Object.entries(json).map(([key, inner]) => [key, made(inner)]));
}

// Edits of what a path leads to: [verb, path, ...what].
const edits = {
  set: (parent, key, value) => { parent[key] = made(value); },
  remove: (parent, key) => { Array.isArray(parent) ? parent.deleteAt(key) : delete parent[key]; },
  push: (parent, key, value) => { parent[key].push(made(value)); },
  insert: (parent, key, at, value) => { parent[key].insertAt(at, made(value)); },
  add: (parent, key, amount) => { parent[key].increment(amount); },
};

function edit(doc, [verb, path, ...what]) {
  if (verb in A) return A[verb](doc, path, ...what); // splice, mark, splitBlock
  const parent = path.slice(0, -1).reduce((inner, key) => inner[key], doc);
  edits[verb](parent, path.at(-1), ...what);
}

// Keeps an eye on a document.
function watch(handle) {
  const id = handle.documentId;
  if (handles[id]) return;
  handles[id] = handle;
  messages[id] = [];
  handle.on("heads-changed", stir);
  handle.on("ephemeral-message", ({ senderId, message }) => {
    messages[id].push({ from: senderId, message: plain(message) });
    stir();
  });
  handle.on("remote-heads", ({ storageId, heads }) => {
    (remote[id] ??= {})[storageId] = sorted(decodeHeads(heads));
    stir();
  });
}

// Whether a document is found in time, is unavailable, or neither.
async function find(id, within = 45_000) {
  const timeout = AbortSignal.timeout(within);
  let state;
  // The handle is there at once, and stays if the document comes later.
  repo.find(id).then(() => { state = "ready"; }, () => { state = "unavailable"; }).then(stir);
  watch(repo.handles[id]);
  await until(() => state || timeout.aborted, within);
  return state ?? "silence";
}

const actions = {
  async connect({ url, retry = 500, within }) {
    adapter = new WebSocketClientAdapter(url, retry);
    adapter.on("message", ({ type }) => { frames[type] = (frames[type] ?? 0) + 1; });
    repo.networkSubsystem.addNetworkAdapter(adapter);
    return { ok: await until(() => repo.peers.length > 0, within) };
  },
  // As an application does it that goes offline.
  disconnect: () => repo.networkSubsystem.removeNetworkAdapter(adapter),
  // As a network does it that breaks; the adapter connects again by itself.
  cut: () => adapter.socket.terminate(),
  linked: async ({ is, within }) => ({ ok: await until(() => repo.peers.length > 0 === is, within) }),

  create({ value }) {
    const handle = repo.create(made(value));
    watch(handle);
    return { id: handle.documentId };
  },
  // A document of so many changes, each of which adds a letter and sets a number.
  createLong({ changes }) {
    let doc = A.from({ text: "", n: 0 });
    for (let n = 1; n < changes; n++) {
      doc = A.change(doc, (doc) => {
        A.splice(doc, ["text"], n - 1, 0, "x");
        doc.n = n;
      });
    }
    const handle = repo.import(A.save(doc));
    watch(handle);
    return { id: handle.documentId };
  },
  // A document of parts that compress badly: so many characters and a picture of so many bytes, each
  // in a change of its own.
  createLarge({ parts, characters, bytes }) {
    const random = (length) => randomFillSync(new Uint8Array(length));
    const text = () => Buffer.from(random(characters)).toString("base64").slice(0, characters);
    const handle = repo.create({ text: "", pictures: [] });
    watch(handle);
    for (let n = 0; n < parts; n++) {
      handle.change((doc) => {
        A.splice(doc, ["text"], n * characters, 0, text());
        doc.pictures.push(random(bytes));
      });
    }
    return { id: handle.documentId };
  },
  createMany({ count }) {
    const many = Array.from({ length: count }, (_, n) => repo.create({ n, title: `document ${n}`, tags: ["many"] }));
    many.forEach(watch);
    return { ids: many.map((it) => it.documentId) };
  },
  find: async ({ id, within }) => ({ state: await find(id, within) }),
  async findMany({ ids }) {
    const states = await Promise.all(ids.map((id) => find(id)));
    return { ready: states.filter((it) => it === "ready").length };
  },
  change({ id, edits }) {
    handles[id].change((doc) => edits.forEach((it) => edit(doc, it)));
    return { heads: heads(id) };
  },
  // Writes one number after the other, and says of each when the hub has confirmed it.
  async write({ id, from, to }) {
    for (let n = from; n < to; n++) {
      handles[id].change((doc) => { doc.log[`n${n}`] = n; });
      await until(() => isConfirmed(id));
      say({ confirmed: n });
    }
  },
  value: ({ id }) => ({ value: value(id) }),
  spans: ({ id, path }) => ({ spans: A.spans(handles[id].doc(), path) }),
  heads: ({ id }) => ({ heads: heads(id) }),
  allHeads: ({ ids }) => ({ heads: ids.map(heads) }),
  changes: ({ id }) => ({ count: A.getAllChanges(handles[id].doc()).length }),

  awaitValue: async ({ id, value: expected, within }) =>
    ({ ok: await until(() => isDeepStrictEqual(value(id), expected), within), value: value(id) }),
  awaitHeads: async ({ id, heads: expected, within }) =>
    ({ ok: await until(() => isDeepStrictEqual(heads(id), sorted(expected)), within), heads: heads(id) }),
  async awaitConfirmed({ ids, within }) {
    const rest = [...ids];
    const areConfirmed = () => {
      while (rest.length > 0 && isConfirmed(rest.at(-1))) rest.pop();
      return rest.length === 0;
    };
    return { ok: await until(areConfirmed, within), unconfirmed: rest };
  },
  // Of a list or map in the document: how many there are.
  awaitCount: async ({ id, path, count, within }) => {
    const doc = () => (handles[id].isReady() ? handles[id].doc() : {});
    const counted = () => Object.keys(path.reduce((inner, key) => inner?.[key], doc()) ?? {}).length;
    return { ok: await until(() => counted() === count, within), count: counted() };
  },

  broadcast: ({ id, messages }) => messages.forEach((it) => handles[id].broadcast(made(it))),
  awaitMessages: async ({ id, count, within }) => {
    await until(() => messages[id].length >= count, within);
    return { messages: messages[id] };
  },
  frames: () => frames,

  storage: async () => ({ own: await repo.storageId(), hub: repo.getStorageIdOfPeer(repo.peers[0]) }),
  subscribe: ({ storage }) => repo.subscribeToRemotes([storage]),
  awaitRemote: async ({ id, storage, heads: expected, within }) => {
    const theirs = () => remote[id]?.[storage];
    return { ok: await until(() => isDeepStrictEqual(theirs(), sorted(expected)), within), heads: theirs() };
  },

  save: () => repo.flush(),
  complaints: () => ({ complaints }),
};

await converse(actions);
