// A conversation in lines of JSON: each line of stdin asks for one thing, {"do": name, ...}, and gets one
// line on stdout; the next is read once it is answered.
import { createInterface } from "node:readline";

// Libraries print to stdout too.
const write = process.stdout.write.bind(process.stdout);

export const say = (object) => write(JSON.stringify(object) + "\n");

export async function converse(actions) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: name, ...rest } = JSON.parse(line);
    try {
      say((await actions[name](rest)) ?? {});
    } catch (error) {
      say({ error: `${name}: ${error.stack}` });
    }
  }
  process.exit();
}

// Waiting for something to hold, without asking again and again: whoever changes something stirs.
const waiting = new Set();

export const stir = () => waiting.forEach((look) => look());

export function until(holds, within = 45_000) {
  return new Promise((resolve) => {
    const end = (outcome) => {
      waiting.delete(look);
      clearTimeout(timer);
      resolve(outcome);
    };
    const look = () => holds() && end(true);
    const timer = setTimeout(end, within, false);
    waiting.add(look);
    look();
  });
}
