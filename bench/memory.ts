/**
 * `npm run bench:memory [-- --photos DIR --items N --after N]`: a long run, and how the resident memory of its two
 * processes grows with the images done, in MiB per 1,000 images, after a warm-up.
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
import { childrenOf, residentMebibytes } from "./support/process-times.js";
import { slope } from "./support/statistics.js";

const { values } = parseArgs({
  options: {
    photos: { type: "string", default: "examples/photos" },
    items: { type: "string", default: "10000" },
    after: { type: "string", default: "2000" },
  },
});
const items = Number(values.items);
const after = Number(values.after);
const sampleEveryMs = 1_000;

interface Sample {
  readonly images: number;
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
    const sample = await sampleMemory(child.pid ?? 0, images);
    if (sample !== null) samples.push(sample);
    await Promise.race([sleep(sampleEveryMs), ended]);
  }
  const [code] = await ended;
  const { summary } = await openResults(out);
  if (summary?.items !== items) throw new Error(`Expected ${items} rows, got ${summary?.items} (exit status ${code})`);
  return samples;
}

async function sampleMemory(pid: number, images: number): Promise<Sample | null> {
  const consumer = await residentMebibytes(pid);
  const children = await Promise.all((await childrenOf(pid)).map(residentMebibytes));
  // Redis' wrapper is a shell of a few MiB; the compute child is by far the largest.
  const compute = Math.max(...children.map((mebibytes) => mebibytes ?? 0), 0);
  return consumer === null || compute === 0 ? null : { images, consumer, compute };
}

function report(samples: readonly Sample[]): void {
  const warm = samples.filter(({ images }) => images >= after);
  for (const name of ["consumer", "compute"] as const) {
    const perThousand = slope(warm.map((sample) => ({ x: sample.images / 1000, y: sample[name] })));
    const peak = Math.max(...samples.map((sample) => sample[name]));
    console.log(
      `${name}: ${perThousand.toFixed(3)} MiB per 1,000 images after the first ${after}; peak ${peak.toFixed(0)} MiB ` +
        `(${warm.length} samples, ${items} images)`,
    );
  }
}
