/**
 * `npm run bench:soak [-- --photos DIR --items N --after N]`: a long run (18,000 images are a quarter of an hour at 20 images/s),
 * and what changes in its two processes with the images done, after a warm-up: resident memory in MiB per 1,000 images, open
 * files and sockets, and the rate of the first and the last fifth.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openResults } from "../src/results/open.js";
import { makeCorpus } from "./support/corpus.js";
import { childrenOf, openHandles, residentMebibytes } from "./support/process-times.js";
import { slope } from "./support/statistics.js";

const { values } = parseArgs({
  options: {
    photos: { type: "string", default: "examples/photos" },
    items: { type: "string", default: "18000" },
    after: { type: "string", default: "2000" },
  },
});
const items = Number(values.items);
const after = Number(values.after);
const sampleEveryMs = 1_000;

interface Sample {
  readonly atMs: number;
  readonly images: number;
  readonly memory: ProcessPair;
  readonly handles: ProcessPair;
}

/** A number of each of the two processes. */
interface ProcessPair {
  readonly consumer: number;
  readonly compute: number;
}

const corpus = await makeCorpus(resolve(values.photos), items);
const dir = await mkdtemp(join(tmpdir(), "lm-memory-"));
const out = join(dir, "dataset");
try {
  const samples = await watchRun();
  report(samples);
} finally {
  await corpus.remove();
  await rm(dir, { recursive: true, force: true });
}

async function watchRun(): Promise<Sample[]> {
  const entry = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
  const args = [entry, "run", corpus.dir, "--out", out, "--log-format", "json"];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  let images = 0;
  child.stderr.on("data", (data: Buffer) => {
    for (const [, done] of String(data).matchAll(/"done":(\d+)/g)) images = Number(done);
  });
  const ended = once(child, "exit");
  const samples: Sample[] = [];
  let running = true;
  void ended.then(() => {
    running = false;
  });
  while (running) {
    const sample = await sampleProcesses(child.pid ?? 0, images);
    if (sample !== null) samples.push(sample);
    await Promise.race([sleep(sampleEveryMs), ended]);
  }
  const [code] = await ended;
  const { summary } = await openResults(out);
  if (summary?.items !== items) throw new Error(`Expected ${items} rows, got ${summary?.items} (exit status ${code})`);
  return samples;
}

async function sampleProcesses(consumer: number, images: number): Promise<Sample | null> {
  const children = await Promise.all(
    (await childrenOf(consumer)).map(async (pid) => ({ pid, mebibytes: (await residentMebibytes(pid)) ?? 0 })),
  );
  // Redis' wrapper is a shell of a few MiB; the compute child is by far the largest.
  const compute = children.sort((a, b) => b.mebibytes - a.mebibytes)[0];
  const own = await residentMebibytes(consumer);
  if (own === null || compute === undefined || compute.mebibytes === 0) return null;
  return {
    atMs: performance.now(),
    images,
    memory: { consumer: own, compute: compute.mebibytes },
    handles: { consumer: await openHandles(consumer), compute: await openHandles(compute.pid) },
  };
}

function report(samples: readonly Sample[]): void {
  const warm = samples.filter(({ images }) => images >= after);
  console.log(`${items} images, ${warm.length} samples after the first ${after}`);
  for (const name of ["consumer", "compute"] as const) {
    const perThousand = slope(warm.map(({ images, memory }) => ({ x: images / 1000, y: memory[name] })));
    const peak = Math.max(...samples.map(({ memory }) => memory[name]));
    const handles = warm.map((sample) => sample.handles[name]);
    console.log(
      `${name}: ${perThousand.toFixed(3)} MiB per 1,000 images, peak ${peak.toFixed(0)} MiB; ` +
        `handles ${handles[0]} at first, ${handles.at(-1)} at last, ${Math.max(...handles)} at most`,
    );
  }
  const fifth = Math.floor(warm.length / 5);
  const [first, last] = [rateOf(warm.slice(0, fifth)), rateOf(warm.slice(-fifth))];
  console.log(`images/s: ${first.toFixed(2)} in the first fifth, ${last.toFixed(2)} in the last`);
}

function rateOf(samples: readonly Sample[]): number {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined) return Number.NaN;
  return (last.images - first.images) / ((last.atMs - first.atMs) / 1000);
}
