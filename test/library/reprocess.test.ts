import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Row } from "../../src/dataset/row.js";
import { resolveCall } from "../../src/library/context.js";
import { findGrown } from "../../src/library/grown.js";
import { planRun } from "../../src/library/plan.js";
import { openSubmission } from "../../src/producer/submission.js";
import { openResults } from "../../src/results/open.js";
import { failure } from "../../src/shared/errors.js";
import type { Options } from "../../src/shared/options.js";
import { describeModel } from "../../src/worker/model/describe-model.js";
import { failedWith, succeeded } from "../../src/worker/outcome.js";
import { changeItems, isSeventh, itemName, touch, writeItem, writeItems } from "../support/changed-files.js";
import { type NullRun, predictionOf, runWithoutModel } from "../support/null-runs.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { assertSound } from "../support/run-harness.js";
import { collect, useTempDir } from "../support/temp-dir.js";

const late = failedWith(failure("LIMIT_TIME", { ms: 1 }));
const failingSevenths = (bytes: Uint8Array) => (isSeventh(bytes) ? late : succeeded(predictionOf(bytes)));
const allRows = async (out: string) => collect((await openResults(out)).rows());
/** All of a row but the run that it is of. */
const compared = (rows: readonly Row[]) => rows.map(({ run_id: _, ...row }) => row);

describe("library/reprocess", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  let server: TestRedis;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.close());

  const at = (name: string) => join(tempDir(), name);
  const run = (source: string, options: Options & { out: string }, predict?: NullRun["predict"]) =>
    runWithoutModel({ redis: server.redis, source, root: tempDir(), options, ...(predict && { predict }) });

  it("plans exactly, does again what is planned, and comes to what a whole rerun comes to", async () => {
    const photos = at("photos");
    await writeItems(photos, 1_000);
    await run(photos, { out: at("old") }, failingSevenths);
    await changeItems(photos, 1_000);
    const { classes, failedByCode, gone, toDo, toAsk, items } = await planRun(photos, { against: at("old") });
    assert.deepEqual(
      { classes, failedByCode, gone, toDo, toAsk, items },
      {
        classes: { new: 20, changed: 30, stale: 0, failed: 10, unknown: 0, unchanged: 950 },
        failedByCode: { LIMIT_TIME: 10 },
        gone: 10,
        toDo: 60,
        toAsk: 0,
        items: 1_010,
      },
    );
    const again = await run(photos, { out: at("new"), against: at("old"), chunkSize: 100 });
    // Those with another time alone are read, and their bytes are known.
    assert.deepEqual([again.fetched.length, again.predicted], [60, 50]);
    await assertSound(again, 1_010);
    const { summary } = await openResults(at("new"));
    assert.deepEqual([summary?.ok, summary?.carried], [1_010, 960]);
    await run(photos, { out: at("whole") });
    assert.deepEqual(compared(await allRows(at("new"))), compared(await allRows(at("whole"))));
  });

  it("does what --only names: one code, and neither new nor changed items", async () => {
    const photos = at("photos");
    await writeItems(photos, 100);
    await run(photos, { out: at("old") }, (bytes) =>
      isSeventh(bytes)
        ? late
        : Buffer.from(bytes).equals(Buffer.from("image 9"))
          ? failedWith(failure("DECODE_CORRUPT", { reason: "x" }))
          : succeeded(predictionOf(bytes)),
    );
    await writeItem(join(photos, itemName(1)), "other bytes");
    await writeItem(join(photos, "new.jpg"), "new");
    const only = ["failed:LIMIT_TIME"];
    const plan = await planRun(photos, { against: at("old"), only });
    assert.deepEqual([plan.toDo, plan.classes.changed, plan.classes.failed, plan.items], [1, 1, 2, 100]);
    assert.deepEqual(plan.leftOut, { "new, which --only does not name": 1 });
    const { fetched } = await run(photos, { out: at("new"), against: at("old"), only });
    assert.deepEqual(fetched, [join(photos, itemName(7))]);
    const [before, now] = [await allRows(at("old")), await allRows(at("new"))];
    assert.deepEqual(
      compared(now).filter((row) => row.item_index !== 7),
      compared(before).filter((row) => row.item_index !== 7),
    );
    assert.equal(now[7]?.status, "ok");
  });

  it("compares by the bytes where it is told to: what size and time hide, and what they only seem to say", async () => {
    const photos = at("photos");
    await writeItems(photos, 3);
    await run(photos, { out: at("old") });
    await writeItem(join(photos, itemName(0)), "IMAGE 0");
    await touch(join(photos, itemName(1)));
    const plain = await planRun(photos, { against: at("old") });
    assert.deepEqual([plain.classes.changed, plain.classes.unchanged], [1, 2]);
    const exact = await planRun(photos, { against: at("old"), verifyBytes: true });
    assert.deepEqual([exact.classes.changed, exact.classes.unchanged], [1, 2]);
    const { predicted } = await run(photos, { out: at("new"), against: at("old"), verifyBytes: true });
    assert.equal(predicted, 1);
    await run(photos, { out: at("whole") });
    assert.deepEqual(compared(await allRows(at("new"))), compared(await allRows(at("whole"))));
  });

  it("takes items by id and uri: twice in a list, in another order, with other columns, with odd names", async () => {
    const photos = at("photos");
    await writeItems(photos, 2);
    const odd = join(photos, 'a "b", ü.jpg');
    await writeItem(odd, "odd");
    const list = at("list.jsonl");
    const line = (path: string, note: string) => JSON.stringify({ uri: path, note });
    const [a, b] = [join(photos, itemName(0)), join(photos, itemName(1))];
    await writeFile(list, [line(a, "1"), line(odd, "2"), line(a, "3"), "broken"].join("\n"));
    const columns = { keepColumns: ["note"] };
    await run(list, { out: at("old"), ...columns });
    await writeFile(list, ["broken", line(odd, "4"), line(a, "5"), line(a, "6"), line(b, "7")].join("\n"));
    const plan = await planRun(list, { against: at("old"), ...columns });
    // The broken line has another number by now, by which its item is named.
    assert.deepEqual([plan.classes.new, plan.classes.unchanged, plan.gone, plan.toDo], [2, 3, 1, 1]);
    const { fetched } = await run(list, { out: at("new"), against: at("old"), ...columns });
    assert.deepEqual(fetched, [b]);
    await run(list, { out: at("whole"), ...columns });
    assert.deepEqual(compared(await allRows(at("new"))), compared(await allRows(at("whole"))));
  });

  it("carries rows over from one form of parts to another", async () => {
    const photos = at("photos");
    await writeItems(photos, 10);
    const halves = { embedding: "float16", chunkSize: 3 } as const;
    await run(photos, { out: at("old"), format: "jsonl", ...halves }, failingSevenths);
    const only = ["new"];
    const { fetched } = await run(photos, { out: at("new"), against: at("old"), only, ...halves });
    assert.deepEqual(fetched, []);
    assert.deepEqual(compared(await allRows(at("new"))), compared(await allRows(at("old"))));
  });

  it("says of a complete dataset what its sources have become, and nothing where they cannot be read", async () => {
    const photos = at("photos");
    await writeItems(photos, 3);
    const { storage } = await run(photos, { out: at("old") });
    const context = resolveCall({});
    const model = await describeModel(tempDir(), "resnet50", "fp32");
    const submission = await openSubmission([photos], context.options, { cwd: tempDir(), model, against: null });
    assert.deepEqual(await findGrown(context, submission, storage), { new: 0, changed: 0 });
    await writeItem(join(photos, "more.jpg"), "more");
    await touch(join(photos, itemName(0)));
    assert.deepEqual(await findGrown(context, submission, storage), { new: 1, changed: 1 });
    await rm(photos, { recursive: true });
    assert.equal(await findGrown(context, submission, storage), null);
    context.release();
  });
});
