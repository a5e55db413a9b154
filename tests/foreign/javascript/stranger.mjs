// A WebSocket client without an automerge-repo behind it, which says whatever it is told to (lines.mjs). Frames
// are texts of hex digits, or messages, which the stock encoder encodes.
import { cbor } from "@automerge/automerge-repo";
import { WebSocket } from "ws";
import { converse, stir, until } from "./lines.mjs";

const links = {}; // by name

function open(url) {
  const link = { socket: new WebSocket(url), heard: [], isClosed: false };
  link.socket.binaryType = "arraybuffer";
  link.socket.on("open", stir);
  link.socket.on("message", (frame) => {
    link.heard.push(bytesAsHex(cbor.decode(new Uint8Array(frame))));
    stir();
  });
  // Refusals are told as the end of the link.
  link.socket.on("error", () => {});
  link.socket.on("close", (code) => {
    link.isClosed = code;
    stir();
  });
  return link;
}

const isOpen = ({ socket }) => socket.readyState === WebSocket.OPEN;

function bytesAsHex(message) {
  const bytes = (value) => value instanceof Uint8Array;
  const entries = Object.entries(message ?? {});
  return Object.fromEntries(entries.map(([key, it]) => [key, bytes(it) ? Buffer.from(it).toString("hex") : it]));
}

// The other way round: {"$hex": digits} becomes bytes.
function hexAsBytes(json) {
  if (Array.isArray(json)) return json.map(hexAsBytes);
  if (json === null || typeof json !== "object") return json;
  if ("$hex" in json) return new Uint8Array(Buffer.from(json.$hex, "hex"));
  return Object.fromEntries(Object.entries(json).map(([key, inner]) => [key, hexAsBytes(inner)]));
}

const join = (peer) => ({ type: "join", senderId: peer, peerMetadata: {}, supportedProtocolVersions: ["1"] });

const actions = {
  async open({ name, url }) {
    const link = (links[name] = open(url));
    return { ok: await until(() => isOpen(link) || link.isClosed) };
  },
  // Opens a link and joins as this peer; the other side's answer.
  async join({ name, url, peer }) {
    await actions.open({ name, url });
    links[name].socket.send(cbor.encode(join(peer)));
    return actions.hear({ name });
  },
  message: ({ name, message }) => links[name].socket.send(cbor.encode(hexAsBytes(message))),
  frame: ({ name, hex }) => links[name].socket.send(Buffer.from(hex, "hex")),
  text: ({ name, text }) => links[name].socket.send(text),
  // Bytes below the WebSocket protocol.
  raw: ({ name, hex }) => links[name].socket._socket.write(Buffer.from(hex, "hex")),
  // The next message, or the code that the link was closed with.
  async hear({ name, within }) {
    const link = links[name];
    await until(() => link.heard.length > 0 || link.isClosed, within);
    return link.heard.length > 0 ? { message: link.heard.shift() } : { closed: link.isClosed };
  },
  // Waits for the end of the link, whatever else is said.
  closed: async ({ name, within }) => ({ ok: await until(() => links[name].isClosed, within), code: links[name].isClosed }),
  deafen: ({ name }) => { links[name].socket.pause(); },
  close: ({ name }) => links[name].socket.terminate(),
  // So many links at once, each of which joins, some as the same peer; how many were answered.
  async storm({ url, count, peers }) {
    const storm = Array.from({ length: count }, () => open(url));
    storm.forEach((link, n) => link.socket.on("open", () => link.socket.send(cbor.encode(join(`storm ${n % peers}`)))));
    await until(() => storm.every((link) => link.heard.length > 0 || link.isClosed));
    const answered = storm.filter((link) => link.heard[0]?.type === "peer").length;
    storm.forEach(({ socket }) => socket.terminate());
    return { answered };
  },
};

await converse(actions);
