/**
 * `npm run bench:s3 [-- --objects N --bytes N --retries N]`: a bucket, from its listing to rows, behind a store that fails at
 * set rates: 500, 503, resets, short bodies, slow answers. The way is the real one, from signed requests through Redis to
 * Parquet; the model is left out, as it would hide what fetching costs. First without faults, then with them, for the
 * default number of retries and for `--retries`; then the producer is killed with -9 in the middle of the listing and done
 * again: the count must be exact. Store and worker share one process.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readSegments } from "../src/dataset/items.js";
import { openStorage } from "../src/dataset/storage/open-storage.js";
import { readSummary } from "../src/dataset/summary.js";
import { openSources } from "../src/producer/source/open-source.js";
import { resolveOptions } from "../src/shared/options.js";
import { createS3Access } from "../src/shared/s3/access.js";
import { openFetcher } from "../src/worker/fetch/open-fetcher.js";
import { createRandom } from "../test/chaos/random.js";
import { startCli } from "../test/support/cli.js";
import { startTestRedis } from "../test/support/redis.js";
import { assertSound, completed, startTestConsumer, submitRun } from "../test/support/run-harness.js";
import { type StoreFault, startTestStore, testCredentialEnv } from "../test/support/s3/store.js";

const { values } = parseArgs({
  options: {
    objects: { type: "string", default: "5000" },
    bytes: { type: "string", default: "20000" },
    retries: { type: "string", default: "6" },
  },
});
const objects = Number(values.objects);
/** Of 1,000 requests, listings included. */
const rates: Readonly<Partial<Record<StoreFault, number>>> = { "500": 50, "503": 50, reset: 30, short: 30, slow: 50 };

const keys = Array.from({ length: objects }, (_, i) => `photos/${String(i).padStart(9, "0")}.jpg`);
const body = Buffer.alloc(Number(values.bytes), 7);
const directory = await mkdtemp(join(tmpdir(), "labelmill-s3-"));
const redis = await startTestRedis();
const store = await startTestStore();
await store.put("bench", Object.fromEntries(keys.map((key) => [key, body])));

/** Turns the faults on or off; returns how many there were so far, by kind. */
function setFaults(isFaulty: boolean): Record<string, number> {
  const random = createRandom(1);
  const counts: Record<string, number> = {};
  store.fault = () => {
    if (!isFaulty) return null;
    let left = random.integer(1, 1_000);
    for (const [fault, rate] of Object.entries(rates) as [StoreFault, number][]) {
      left -= rate;
      if (left > 0) continue;
      counts[fault] = (counts[fault] ?? 0) + 1;
      return fault;
    }
    return null;
  };
  return counts;
}

async function measure(name: string, { isFaulty, retries }: { isFaulty: boolean; retries: number }): Promise<void> {
  const counts = setFaults(isFaulty);
  const options = resolveOptions({ flags: { fetchRetries: retries } });
  const credentials = { kind: "environment" as const, env: testCredentialEnv, home: directory };
  const access = createS3Access({ endpoint: store.url, region: null, credentials });
  const s3 = { access, proxy: null, signal: new AbortController().signal };
  const { source } = await openSources(["s3://bench/photos/"], options, { cwd: directory, s3 });
  const before = store.requests.length;
  const startedMs = performance.now();
  const run = await submitRun(redis.redis, join(directory, name), { chunkSize: options.chunkSize, source });
  const listedMs = performance.now();
  const { maxItemBytes, chunksInFlight } = options;
  const fetcher = await openFetcher({ allowRoots: [], maxItemBytes, http: options, s3: access });
  const consumer = startTestConsumer(redis.redis, { fetcher, chunksInFlight });
  await completed(run);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const listed = ((listedMs - startedMs) / 1000).toFixed(1);
  await consumer.drain(1_000);
  await fetcher.close();
  await assertSound(run, objects);
  const { ok, failuresByCode } = (await readSummary(run.storage)) ?? { ok: 0, failuresByCode: {} };
  const requests = store.requests.length - before;
  console.log(`${name}: ${objects} rows in ${seconds} s (listed in ${listed} s), ${requests} requests, ${ok} ok`);
  if (isFaulty) console.log(`  faults ${JSON.stringify(counts)}, failed rows ${JSON.stringify(failuresByCode)}`);
}

async function killAndGoOn(): Promise<void> {
  setFaults(true);
  const out = join(directory, "killed");
  const args = [
    "enqueue",
    "s3://bench/photos/",
    "--out",
    out,
    "--redis-url",
    redis.url,
    "--chunk-size",
    "64",
    "--json",
  ];
  const env = { ...testCredentialEnv, AWS_ENDPOINT_URL_S3: store.url };
  // The third page is never answered.
  const asked = new Promise<void>((resolve) => {
    const tokens = new Set<string>();
    store.answer = ({ query }) => {
      const token = query.get("continuation-token");
      if (token !== null) tokens.add(token);
      if (tokens.size < 2) return false;
      resolve();
      return true;
    };
  });
  const killed = startCli(args, { cwd: directory, env });
  await asked;
  killed.process.kill("SIGKILL");
  await killed.result;
  store.answer = () => false;
  const pinned = await pinnedIn(out);
  const startedMs = performance.now();
  const { code, stderr } = await startCli(args, { cwd: directory, env }).result;
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const found = await pinnedIn(out);
  const isExact = found.length === objects && found.every((uri, i) => uri === `s3://bench/${keys[i]}`);
  if (code !== 0 || !isExact) throw new Error(`Expected ${objects} items in order, got ${found.length}: ${stderr}`);
  console.log(`killed -9 with ${pinned.length} pinned; again: ${found.length}, exact, in ${seconds} s`);
}

async function pinnedIn(out: string): Promise<string[]> {
  const uris: string[] = [];
  for await (const { items } of readSegments(openStorage(out))) uris.push(...items.map(({ uri }) => uri));
  return uris;
}

try {
  await measure("without-faults", { isFaulty: false, retries: 2 });
  await measure("with-faults", { isFaulty: true, retries: 2 });
  await measure("with-faults-more-retries", { isFaulty: true, retries: Number(values.retries) });
  await killAndGoOn();
} finally {
  await redis.close();
  await store.close();
  await rm(directory, { recursive: true, force: true });
}
