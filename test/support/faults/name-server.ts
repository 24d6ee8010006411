/** A name server of a few names, for the resolver under test (RFC 1035, section 4). */
import { createSocket } from "node:dgram";
import { once } from "node:events";

/** What the server says of a name: addresses, of which each query gets the next one, or why none. */
type Answer = readonly string[] | "absent" | "broken" | "silent";

const names: Readonly<Record<string, Answer>> = {
  "rebind.test": ["127.0.0.1", "127.0.0.2"],
  "rebind-late.test": ["127.0.0.1", "127.0.0.2"],
  "canary.test": ["127.0.0.2"],
  "broken.test": "broken",
  "silent.test": "silent",
};

const codes = { absent: 3, broken: 2 } as const;
const typeA = 1;

/** Starts it on 127.0.0.1; `address` has its port. */
export async function startNameServer(): Promise<{ readonly address: string; close(): void }> {
  const socket = createSocket("udp4");
  const asked = new Map<string, number>();
  socket.on("message", (query, { port, address }) => {
    const { name, type, end } = parseQuestion(query);
    const answer = names[name] ?? "absent";
    if (answer === "silent") return;
    if (typeof answer === "string") return socket.send(reply(query, end, codes[answer], null), port, address);
    const times = asked.get(name) ?? 0;
    if (type === typeA) asked.set(name, times + 1);
    const found = type === typeA ? (answer[times] ?? answer.at(-1) ?? null) : null;
    return socket.send(reply(query, end, 0, found), port, address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return { address: `127.0.0.1:${socket.address().port}`, close: () => void socket.close() };
}

function parseQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join(".").toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

/** A header, the question again, and one A record that no one may keep (a time to live of 0), or none. */
function reply(query: Buffer, end: number, code: number, address: string | null): Buffer {
  const head = Buffer.from([0, 0, 0x81, 0x80 | code, 0, 1, 0, address === null ? 0 : 1, 0, 0, 0, 0]);
  query.copy(head, 0, 0, 2);
  const record =
    address === null ? [] : [0xc0, 12, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split(".").map(Number)];
  return Buffer.concat([head, query.subarray(12, end), Buffer.from(record)]);
}
