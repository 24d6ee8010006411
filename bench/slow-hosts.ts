/**
 * `npm run bench:slow-hosts [-- --items N --hosts N --every N --slow-ms N --predict-ms N]`: what slow web servers cost a run.
 * The same list of addresses, spread over many names of one local server, goes the real way from Redis through the http
 * fetcher to Parquet twice: with every host fast, and with one host in so many answering late. The model is left out (each
 * image takes `--predict-ms`, one after the other), as it would hide what fetching costs. The floor is the time that a slow
 * host's own items take, `--per-host` at once and all known from the start; here they are spread over the list.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { resolveOptions } from "../src/shared/options.js";
import { openFetcher } from "../src/worker/fetch/open-fetcher.js";
import { succeeded } from "../src/worker/outcome.js";
import { startTestRedis } from "../test/support/redis.js";
import {
  assertSound,
  completed,
  numberedSource,
  somePrediction,
  startTestConsumer,
  submitRun,
} from "../test/support/run-harness.js";
import { startSlowServer } from "./slow-server.js";

const { values } = parseArgs({
  options: {
    items: { type: "string", default: "2000" },
    hosts: { type: "string", default: "200" },
    every: { type: "string", default: "20" },
    "slow-ms": { type: "string", default: "2000" },
    "predict-ms": { type: "string", default: "0" },
  },
});
const items = Number(values.items);
const hosts = Number(values.hosts);
const every = Number(values.every);
const slowMs = Number(values["slow-ms"]);
const predictMs = Number(values["predict-ms"]);

const server = await startSlowServer(every);
const directory = await mkdtemp(join(tmpdir(), "labelmill-slow-hosts-"));
const redis = await startTestRedis();
const http = resolveOptions({ flags: { allowPrivate: ["127.0.0.1"] } });

/** Seconds from the first chunk to the summary. */
async function measure(name: string): Promise<number> {
  const source = numberedSource(items, (i) => `http://h${i % hosts}.localhost:${server.port}/${i}.jpg`);
  const run = await submitRun(redis.redis, join(directory, name), { chunkSize: http.chunkSize, source });
  const fetcher = await openFetcher({ allowRoots: [], maxItemBytes: http.maxItemBytes, http });
  let model = Promise.resolve();
  const predict = async () => {
    if (predictMs > 0) {
      model = model.then(() => sleep(predictMs));
      await model;
    }
    return succeeded(somePrediction);
  };
  const startedMs = performance.now();
  const consumer = startTestConsumer(redis.redis, { fetcher, predict, chunksInFlight: http.chunksInFlight });
  await completed(run);
  const seconds = (performance.now() - startedMs) / 1000;
  await consumer.drain(1_000);
  await fetcher.close();
  await assertSound(run, items);
  console.log(`${name}: ${seconds.toFixed(2)} s`);
  return seconds;
}

try {
  await measure("warm-up");
  const fast = await measure("fast");
  server.slowDown(slowMs);
  const slow = await measure("slow");
  const floor = (Math.ceil(items / hosts / http.perHost) * slowMs) / 1000;
  console.log(
    `a slow host's floor: ${floor} s; 1.2 times the run without: ${(1.2 * fast).toFixed(2)} s; took ${slow.toFixed(2)} s`,
  );
} finally {
  await redis.close();
  await server.close();
  await rm(directory, { recursive: true, force: true });
}
