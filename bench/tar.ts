/**
 * `npm run bench:tar [-- --mib N]`: a tar shard of that size, of small photos and their JSON and text as WebDataset writes
 * them, from the shard to rows: as a file, and from a web server on loopback that knows ranges. `labelmill enqueue` lists it
 * (items/s, peak resident memory); then a worker whose model answers at once fetches every member and commits its rows.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createRunHead } from "../src/dataset/run-head.js";
import { openStorage } from "../src/dataset/storage/open-storage.js";
import { enqueueRun, registerRun } from "../src/producer/enqueue.js";
import { openSources } from "../src/producer/source/open-source.js";
import { resolveOptions } from "../src/shared/options.js";
import { openFetcher } from "../src/worker/fetch/open-fetcher.js";
import { openRemoteFiles } from "../src/worker/fetch/open-remote-files.js";
import { sampleIdentity } from "../test/dataset/samples.js";
import { createRangeServer } from "../test/support/range-server.js";
import { startTestRedis } from "../test/support/redis.js";
import { assertSound, completed, startTestConsumer, testOutages, testPolicy } from "../test/support/run-harness.js";
import { projectRoot } from "../test/support/shared-data.js";
import { endMark, tarMember } from "../test/support/tar.js";
import { peakResidentMebibytes } from "./support/process-times.js";

const { values } = parseArgs({ options: { mib: { type: "string", default: "1024" } } });
const wantedBytes = Number(values.mib) * 2 ** 20;
const photos = join(projectRoot, "examples/photos");
const entry = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
const http = resolveOptions({ flags: { allowPrivate: ["127.0.0.1"] } });

const directory = await mkdtemp(join(tmpdir(), "labelmill-tar-"));
const server = createRangeServer(directory).listen(0, "127.0.0.1");
await once(server, "listening");
const redis = await startTestRedis();
try {
  const items = await writeShard(join(directory, "shard.tar"));
  console.log(`${values.mib} MiB, ${items} samples of an image, a JSON and a text`);
  const remote = `http://h.localhost:${(server.address() as AddressInfo).port}/shard.tar`;
  console.log("shard      listed items/s  peak RSS MiB  rows/s of the whole");
  for (const [name, source] of [
    ["file", join(directory, "shard.tar")],
    ["web", remote],
  ] as const) {
    const listed = await list(source, join(directory, `${name}-listed`));
    if (listed.items !== items) throw new Error(`Expected ${items} items, got ${listed.items}`);
    const seconds = await toRows(source, join(directory, `${name}-rows`), items);
    const cells = [items / listed.seconds, listed.peakMebibytes, items / seconds].map((n) => String(Math.round(n)));
    console.log(`${name.padEnd(10)} ${cells[0]?.padStart(14)} ${cells[1]?.padStart(13)} ${cells[2]?.padStart(20)}`);
  }
} finally {
  await redis.close();
  server.closeAllConnections();
  server.close();
  await rm(directory, { recursive: true, force: true });
}

/** Returns how many samples it holds. */
async function writeShard(path: string): Promise<number> {
  const names = (await readdir(photos)).filter((name) => name.endsWith(".jpg"));
  const images = await Promise.all(names.map((name) => readFile(join(photos, name))));
  let items = 0;
  function* blocks(): Generator<Buffer> {
    for (let bytes = 0; bytes < wantedBytes; items += 1) {
      const key = String(items).padStart(9, "0");
      const sample = [
        tarMember({ name: `${key}.jpg`, data: images[items % images.length] ?? Buffer.alloc(0) }),
        tarMember({ name: `${key}.json`, data: JSON.stringify({ key, width: 500, height: 333 }) }),
        tarMember({ name: `${key}.txt`, data: "a photo of something" }),
      ];
      for (const member of sample) {
        bytes += member.length;
        yield member;
      }
    }
    yield endMark;
  }
  await pipeline(Readable.from(blocks()), createWriteStream(path));
  return items;
}

interface Listing {
  readonly items: number;
  readonly seconds: number;
  readonly peakMebibytes: number;
}

/** By the command, so that memory and the start of the process are those that a user has. */
async function list(source: string, out: string): Promise<Listing> {
  const flags = ["--out", out, "--redis-url", redis.url, "--allow-private", "127.0.0.1", "--json"];
  const startedMs = performance.now();
  const child = spawn(process.execPath, [entry, "enqueue", source, ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  let printed = "";
  child.stdout.on("data", (data: Buffer) => {
    printed += data;
  });
  let peakMebibytes = 0;
  while (child.exitCode === null && child.signalCode === null) {
    peakMebibytes = Math.max(peakMebibytes, await peakResidentMebibytes(child.pid ?? 0));
    await Promise.race([ended, sleep(20)]);
  }
  const seconds = (performance.now() - startedMs) / 1000;
  await redis.redis.flushall();
  return { items: JSON.parse(printed).items, seconds, peakMebibytes };
}

/** Seconds from the first header to the summary: listing, fetching and committing at once, with a model that takes no time. */
async function toRows(arg: string, out: string, items: number): Promise<number> {
  const storage = openStorage(out);
  const { signal } = new AbortController();
  const remote = openRemoteFiles({ http, signal });
  const { source } = await openSources([arg], http, { cwd: directory, remote });
  const fetcher = await openFetcher({ allowRoots: source.roots, maxItemBytes: http.maxItemBytes, http });
  const startedMs = performance.now();
  const { head } = await createRunHead(storage, { ...sampleIdentity, sources: ["/i"], chunkSize: http.chunkSize });
  const run = { head, storage, redis: redis.redis, policy: testPolicy };
  await registerRun(run);
  const consumer = startTestConsumer(redis.redis, { fetcher, chunksInFlight: http.chunksInFlight });
  await enqueueRun({ ...run, source, outages: testOutages, signal });
  await completed({ storage });
  const seconds = (performance.now() - startedMs) / 1000;
  await consumer.drain(1_000);
  await fetcher.close();
  await assertSound({ storage }, items);
  return seconds;
}
