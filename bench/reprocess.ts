/**
 * `npm run bench:reprocess [-- --items N --rows N]`: what a rerun saves. The model is left out: a function of the bytes stands
 * for it, so what is measured is reading, comparing, carrying over, writing and counting.
 *
 * First `--items` made files are labelled, then 3 % of them change, 2 % are new, 1 % gone, and 1 % had failed: what `plan` says, how
 * many files and images `run --against` takes, how long it takes beside a whole rerun, and whether both come to the same rows. Then
 * the table of `--rows` made rows is filled and asked: seconds and bytes a row.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import type { Row } from "../src/dataset/row.js";
import { openStorage } from "../src/dataset/storage/open-storage.js";
import { planRun } from "../src/library/plan.js";
import { readEarlierRows } from "../src/producer/reprocess/earlier-rows.js";
import { openResults } from "../src/results/open.js";
import { failure } from "../src/shared/errors.js";
import type { Options } from "../src/shared/options.js";
import { failedWith, succeeded } from "../src/worker/outcome.js";
import { sampleIdentity } from "../test/dataset/samples.js";
import { changeItems, isSeventh, writeItems } from "../test/support/changed-files.js";
import { type NullRun, predictionOf, runWithoutModel } from "../test/support/null-runs.js";
import { startTestRedis } from "../test/support/redis.js";
import { makeDataset } from "./support/made-dataset.js";

const { values } = parseArgs({
  options: { items: { type: "string", default: "10000" }, rows: { type: "string", default: "200000" } },
});
const count = Number(values.items);
const directory = await mkdtemp(join(tmpdir(), "labelmill-reprocess-"));
const server = await startTestRedis();
const at = (name: string) => join(directory, name);

async function timed<T>(what: string, action: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  const result = await action();
  console.log(`${what}: ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  return result;
}

const run = (options: Options & { out: string }, predict?: NullRun["predict"]) =>
  runWithoutModel({
    redis: server.redis,
    source: at("photos"),
    root: directory,
    options,
    ...(predict && { predict }),
  });

/** Whether both hold the same rows, but for the run that they are of. */
async function areSame(outA: string, outB: string): Promise<boolean> {
  const [a, b] = [(await openResults(outA)).rows(), (await openResults(outB)).rows()[Symbol.asyncIterator]()];
  const compared = ({ run_id: _, ...row }: Row) => row;
  for await (const row of a) {
    const { value, done } = await b.next();
    if (done === true || !isDeepStrictEqual(compared(row), compared(value))) return false;
  }
  return (await b.next()).done === true;
}

async function measureRerun(): Promise<void> {
  await writeItems(at("photos"), count);
  const late = failedWith(failure("LIMIT_TIME", { ms: 1 }));
  await timed(`${count} items`, () =>
    run({ out: at("old") }, (bytes) => (isSeventh(bytes) ? late : succeeded(predictionOf(bytes)))),
  );
  await changeItems(at("photos"), count);
  const plan = await timed("plan", () => planRun(at("photos"), { against: at("old") }));
  const { classes, gone, toDo, items } = plan;
  console.log(JSON.stringify({ classes, gone, toDo, items }));
  const again = await timed("run --against", () => run({ out: at("new"), against: at("old") }));
  const saved = (made: number) => `${made} (${(100 - (100 * made) / items).toFixed(1)} % saved)`;
  console.log(`files read: ${saved(again.fetched.length)}; images at the model: ${saved(again.predicted)}`);
  await timed("the whole again", () => run({ out: at("whole") }));
  console.log(`the same rows: ${await areSame(at("new"), at("whole"))}`);
}

async function measureTable(): Promise<void> {
  const rows = Number(values.rows);
  const identity = { ...sampleIdentity, chunkSize: 4_096, embedding: "none" } as const;
  const head = await makeDataset(at("made"), { rows, width: 0, identity });
  globalThis.gc?.();
  const before = process.memoryUsage().arrayBuffers;
  const signal = new AbortController().signal;
  const storage = openStorage(at("made"));
  const table = await timed(`a table of ${rows} rows`, () =>
    readEarlierRows({ storage, head }, { withSha256: false, signal }),
  );
  globalThis.gc?.();
  console.log(`${((process.memoryUsage().arrayBuffers - before) / rows).toFixed(1)} bytes a row, ${table.items} items`);
}

try {
  await measureRerun();
  await measureTable();
} finally {
  await server.close();
  await rm(directory, { recursive: true, force: true });
}
