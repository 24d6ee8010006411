/**
 * `npm run bench:scaling [-- --photos DIR --images N --rounds N --workers 1,2]`: one run, worked on by one or more `labelmill work`
 * processes that share the cores, each with as many engine threads and decodes as it has cores. From the first chunk that a
 * ready worker takes to the summary; rounds are interleaved.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { enqueue } from "../src/library/enqueue.js";
import { showRun } from "../src/library/runs.js";
import { startTestRedis } from "../test/support/redis.js";
import { makeCorpus } from "./support/corpus.js";
import { median } from "./support/statistics.js";

const { values } = parseArgs({
  options: {
    photos: { type: "string", default: "examples/photos" },
    images: { type: "string", default: "400" },
    rounds: { type: "string", default: "5" },
    workers: { type: "string", default: "1,2" },
  },
});
const cores = availableParallelism();
const counts = values.workers.split(",").map((workers) => ({ workers: Number(workers), rates: [] as number[] }));
const entry = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
const corpus = await makeCorpus(resolve(values.photos), Number(values.images));
const directory = await mkdtemp(join(tmpdir(), "labelmill-scaling-"));
const server = await startTestRedis();

/** Images a second, from the submission to workers that have their models loaded. */
async function measure(workers: number, name: string): Promise<number> {
  const redisUrl = server.url;
  const share = String(Math.max(1, Math.floor(cores / workers)));
  const processes = Array.from({ length: workers }, () => startWorker(share));
  await Promise.all(processes.map(isReady));
  const startedMs = performance.now();
  const { runId } = await enqueue(corpus.dir, { out: join(directory, name), redisUrl, chunkSize: 32 });
  while ((await showRun(runId, { redisUrl })).state !== "completed") await sleep(20);
  const rate = corpus.images / ((performance.now() - startedMs) / 1000);
  for (const process of processes) process.kill("SIGTERM");
  await Promise.all(processes.map((process) => once(process, "exit")));
  return rate;
}

/** Resolves when the worker says that it works, and reads on what else it says. */
function isReady(worker: ChildProcess): Promise<void> {
  let said = "";
  return new Promise((resolve, reject) => {
    worker.stderr?.on("data", (data: Buffer) => {
      said += String(data);
      if (said.includes("worker ready")) resolve();
    });
    worker.once("exit", (code) => reject(new Error(`Expected a worker to start, it ended with ${code}: ${said}`)));
  });
}

function startWorker(share: string): ChildProcess {
  const args = ["work", "--redis-url", server.url, "--allow-root", corpus.dir];
  const own = ["--engine-threads", share, "--decode-concurrency", share];
  return spawn(process.execPath, [entry, ...args, ...own], { stdio: ["ignore", "ignore", "pipe"] });
}

try {
  for (let round = 0; round < Number(values.rounds); round += 1)
    for (const { workers, rates } of counts) rates.push(await measure(workers, `${round}-${workers}`));
  for (const { workers, rates } of counts)
    console.log(
      `${workers} workers on ${cores} cores: ${median(rates).toFixed(1)} images/s (${Math.min(...rates).toFixed(1)} to ${Math.max(...rates).toFixed(1)})`,
    );
} finally {
  await server.close();
  await corpus.remove();
  await rm(directory, { recursive: true, force: true });
}
