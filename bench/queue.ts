/**
 * `npm run bench:queue [-- --items N --rounds N]`: what a chunk as a job is worth against one image a job. The model is left out;
 * what remains is the queue, rows, Parquet parts and counting, with embeddings of four floats. Rounds are interleaved.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startTestRedis } from "../test/support/redis.js";
import { assertSound, completed, startTestConsumer, submitRun } from "../test/support/run-harness.js";
import { median } from "./support/statistics.js";

const { values } = parseArgs({
  options: { items: { type: "string", default: "20000" }, rounds: { type: "string", default: "3" } },
});
const items = Number(values.items);
const chunkSizes = [1, 16, 256, 1024].map((chunkSize) => ({
  chunkSize,
  rates: [] as number[],
  redisBytes: [] as number[],
}));
const directory = await mkdtemp(join(tmpdir(), "labelmill-queue-"));
const server = await startTestRedis();

/** Items a second from the start of the consumer to the summary, and what a queued item takes of Redis' memory. */
async function measure(chunkSize: number, name: string): Promise<{ rate: number; bytes: number }> {
  // One image a job is slow by nature: a tenth of the items says as much.
  const count = chunkSize === 1 ? Math.ceil(items / 10) : items;
  const before = await usedMemory();
  const run = await submitRun(server.redis, join(directory, name), { count, chunkSize });
  const bytes = ((await usedMemory()) - before) / count;
  const startedMs = performance.now();
  const consumer = startTestConsumer(server.redis, { chunksInFlight: Math.max(2, Math.ceil(512 / chunkSize)) });
  await completed(run);
  const rate = count / ((performance.now() - startedMs) / 1000);
  await consumer.drain(0);
  await assertSound(run, count);
  await server.redis.flushall();
  return { rate, bytes };
}

async function usedMemory(): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await server.redis.info("memory"))?.[1]);
}

try {
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const { chunkSize, rates, redisBytes } of chunkSizes) {
      const { rate, bytes } = await measure(chunkSize, `${round}-${chunkSize}`);
      rates.push(rate);
      redisBytes.push(bytes);
    }
  }
  for (const { chunkSize, rates, redisBytes } of chunkSizes)
    console.log(
      `${String(chunkSize).padStart(5)} images a job: ${median(rates).toFixed(0).padStart(6)} items/s ` +
        `(${Math.min(...rates).toFixed(0)} to ${Math.max(...rates).toFixed(0)}), ${median(redisBytes).toFixed(1)} bytes of Redis an item`,
    );
} finally {
  await server.close();
  await rm(directory, { recursive: true, force: true });
}
