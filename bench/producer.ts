/**
 * `npm run bench:producer [-- --items N --sources list,parquet,csv.gz]`: a long list, and the same as a table, pinned and
 * queued by `labelmill enqueue` into a real Redis. First without a break: items/s, the producer's peak resident memory,
 * what Redis grows by. Then killed with -9 half way and done again: the count must be exact.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createGzip } from "node:zlib";
import { Table as ArrowTable, Field, makeData, RecordBatch, Schema, Struct, tableToIPC, Utf8 } from "apache-arrow";
import { Table, WriterPropertiesBuilder, writeParquet } from "parquet-wasm/node";
import { readSegments } from "../src/dataset/items.js";
import { openStorage } from "../src/dataset/storage/open-storage.js";
import { startTestRedis } from "../test/support/redis.js";
import { peakOf } from "./support/peak-memory.js";

const { values } = parseArgs({
  options: {
    items: { type: "string", default: "2000000" },
    sources: { type: "string", default: "list,parquet" },
  },
});
const items = Number(values.items);
const entry = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
const mebibyte = 2 ** 20;

/** 45 characters: that of an object in a bucket, or of a photo three directories deep. */
const uriOf = (i: number) =>
  `/data/photos/${String(i % 997).padStart(4, "0")}/set/image-${String(i).padStart(12, "0")}.jpeg`;

function* linesOf(prefix: string, line: (i: number) => string): Generator<string> {
  if (prefix !== "") yield prefix;
  for (let i = 0; i < items; i += 1_000) {
    yield Array.from({ length: Math.min(1_000, items - i) }, (_, k) => line(i + k)).join("");
  }
}

const writers: Readonly<Record<string, (dir: string) => Promise<string>>> = {
  async list(dir) {
    const path = join(dir, "list.txt");
    await pipeline(Readable.from(linesOf("", (i) => `${uriOf(i)}\n`)), createWriteStream(path));
    return path;
  },
  async csv(dir) {
    const path = join(dir, "table.csv");
    await pipeline(Readable.from(linesOf("n,uri\n", (i) => `${i},"${uriOf(i)}"\n`)), createWriteStream(path));
    return path;
  },
  async "csv.gz"(dir) {
    const path = join(dir, "table.csv.gz");
    await pipeline(
      Readable.from(linesOf("n,uri\n", (i) => `${i},${uriOf(i)}\n`)),
      createGzip(),
      createWriteStream(path),
    );
    return path;
  },
  async jsonl(dir) {
    const path = join(dir, "table.jsonl");
    await pipeline(Readable.from(linesOf("", (i) => `{"n":${i},"uri":"${uriOf(i)}"}\n`)), createWriteStream(path));
    return path;
  },
  /** In row groups of 1,048,576 rows, as most writers do. */
  async parquet(dir) {
    const path = join(dir, "table.parquet");
    const properties = new WriterPropertiesBuilder().setDictionaryEnabled(false).build();
    await writeFile(path, writeParquet(Table.fromIPCStream(tableToIPC(uriTable(), "stream")), properties));
    return path;
  },
};

const dir = await mkdtemp(join(tmpdir(), "lm-producer-"));
try {
  console.log("source      items      s    items/s  peak RSS MiB  Redis MiB  killed at    after");
  for (const name of values.sources.split(",")) await measure(name);
} finally {
  await rm(dir, { recursive: true, force: true });
}

async function measure(name: string): Promise<void> {
  const write = writers[name];
  if (write === undefined) throw new Error(`Expected --sources to be some of ${Object.keys(writers)}, got ${name}`);
  const source = await write(dir);
  const server = await startTestRedis();
  const usedBytes = async () => Number(/used_memory:(\d+)/.exec(await server.redis.info("memory"))?.[1]);
  try {
    const before = await usedBytes();
    const whole = await produce({ source, out: join(dir, `${name}-whole`), url: server.url });
    const redisBytes = (await usedBytes()) - before;
    const out = join(dir, `${name}-killed`);
    const killed = await produce({ source, out, url: server.url, killAfter: items / 2 });
    const again = await produce({ source, out, url: server.url });
    await requireExact(out);
    const peak = Math.max(whole.peakMebibytes, killed.peakMebibytes, again.peakMebibytes);
    const cells = [
      name.padEnd(8),
      String(items).padStart(9),
      whole.seconds.toFixed(1).padStart(6),
      String(Math.round(items / whole.seconds)).padStart(10),
      peak.toFixed(0).padStart(13),
      (redisBytes / mebibyte).toFixed(1).padStart(10),
      String(killed.pinned).padStart(10),
      "exact".padStart(8),
    ];
    console.log(cells.join(" "));
  } finally {
    await server.close();
  }
  await rm(source);
}

/** Made of bytes: ten million strings would take gigabytes. */
function uriTable(): ArrowTable {
  const width = uriOf(0).length;
  const data = Buffer.alloc(items * width);
  for (let i = 0; i < items; i += 1) data.write(uriOf(i), i * width, "latin1");
  const valueOffsets = Int32Array.from({ length: items + 1 }, (_, i) => i * width);
  const uri = makeData({ type: new Utf8(), length: items, nullCount: 0, valueOffsets, data });
  const fields = [new Field("uri", uri.type, false)];
  const struct = makeData({ type: new Struct(fields), length: items, nullCount: 0, children: [uri] });
  return new ArrowTable(new Schema(fields), [new RecordBatch(new Schema(fields), struct)]);
}

interface Production {
  readonly seconds: number;
  readonly peakMebibytes: number;
  readonly pinned: number;
}

/** One `enqueue`, killed with -9 once `killAfter` items are pinned. */
async function produce(job: { source: string; out: string; url: string; killAfter?: number }): Promise<Production> {
  const args = [entry, "enqueue", job.source, "--out", job.out, "--redis-url", job.url, "--json"];
  const started = performance.now();
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  let printed = "";
  child.stdout.on("data", (data: Buffer) => {
    printed += data;
  });
  let peakMebibytes = 0;
  let pinned = 0;
  while (child.exitCode === null && child.signalCode === null) {
    peakMebibytes = Math.max(peakMebibytes, await peakOf(child.pid ?? 0));
    pinned = await pinnedIn(job.out);
    if (job.killAfter !== undefined && pinned >= job.killAfter) child.kill("SIGKILL");
    await Promise.race([ended, sleep(50)]);
  }
  const seconds = (performance.now() - started) / 1000;
  if (job.killAfter === undefined && JSON.parse(printed).items !== items)
    throw new Error(`Expected ${items}: ${printed}`);
  return { seconds, peakMebibytes, pinned };
}

/** Items in the segments that are there: 1, 2, 4, … 64 chunks of 256. */
async function pinnedIn(out: string): Promise<number> {
  const names = await readdir(join(out, "items")).catch(() => []);
  const segments = names.filter((name) => name.endsWith(".jsonl.gz")).length;
  return Array.from({ length: segments }, (_, n) => 256 * 2 ** Math.min(n, 6)).reduce((sum, n) => sum + n, 0);
}

/** Every item once, in order. */
async function requireExact(out: string): Promise<void> {
  let next = 0;
  for await (const segment of readSegments(openStorage(out))) {
    for (const { uri, index } of segment.items) {
      if (uri !== uriOf(next) || index !== next)
        throw new Error(`Expected item ${next} to be ${uriOf(next)}, got ${uri}`);
      next += 1;
    }
  }
  if (next !== items) throw new Error(`Expected ${items} items, got ${next}`);
}
