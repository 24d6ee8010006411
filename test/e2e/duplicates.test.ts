import assert from "node:assert/strict";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openResults, run } from "labelmill";
import { verifyResults } from "../../src/results/verify.js";
import { startHooked } from "../chaos/processes.js";
import { runCli } from "../support/cli.js";
import { resnet50ForTests } from "../support/model.js";
import { projectRoot } from "../support/shared-data.js";
import { collect, useTempDir } from "../support/temp-dir.js";

const photos = join(projectRoot, "examples/photos");
const names = ["camera.png", "chelsea.png", "coffee.png", "rocket.jpg"];
const copies = 5;

describe("e2e/duplicates", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  before(() => resnet50ForTests());

  /** Each photo `times` times, and a file that is none as often; copies of one are neighbours. */
  async function makeSource(name: string, times: number): Promise<string> {
    const source = join(tempDir(), name);
    await mkdir(source);
    for (let copy = 0; copy < times; copy += 1) {
      for (const photo of names) await copyFile(join(photos, photo), join(source, `${photo}-${copy}.jpg`));
      await writeFile(join(source, `none-${copy}.jpg`), "this is not an image");
    }
    return source;
  }

  /** The rows by the bytes that they are of, without what says which item it is. */
  async function rowsBySha(out: string) {
    const rows = await collect((await openResults(out)).rows());
    const bySha = new Map<string, object[]>();
    for (const row of rows) {
      const own = { run_id: 0, item_index: 0, item_id: 0, uri: 0, modified_at: 0 };
      const sha256 = row.sha256 ?? "";
      bySha.set(sha256, [...(bySha.get(sha256) ?? []), { ...row, ...own }]);
    }
    return bySha;
  }

  async function assertSameRows(out: string, distinctOut: string): Promise<void> {
    const distinct = await rowsBySha(distinctOut);
    const found = await rowsBySha(out);
    assert.equal(found.size, names.length + 1);
    for (const [sha256, rows] of found) {
      const [expected] = distinct.get(sha256) ?? [];
      assert.deepEqual(rows, Array(copies).fill(expected));
    }
    assert.deepEqual((await verifyResults(out)).problems, []);
  }

  it("gives every copy the row that it has in a run without copies, and says what share of the work was saved", async () => {
    const distinctOut = join(tempDir(), "out-distinct");
    const { summary: distinct } = await run(await makeSource("distinct", 1), { out: distinctOut });
    assert.deepEqual([distinct.ok, distinct.failed, distinct.duplicates], [4, 1, 0]);
    const source = await makeSource("copies", copies);
    for (const args of [
      ["--chunk-size", "3"],
      ["--format", "jsonl"],
    ]) {
      const out = join(tempDir(), `out${args[0]}`);
      const { code, stdout, stderr } = await runCli(["run", source, "--out", out, ...args]);
      assert.equal(code, 3, stderr);
      assert.match(stdout, /16 of 20 labelled images had the same bytes as another: 80\.0 % of the model's work saved/);
      await assertSameRows(out, distinctOut);
      const again = await runCli(["run", source, "--out", out, ...args, "--json"]);
      const { items, ok, failed, duplicates } = JSON.parse(again.stdout);
      assert.deepEqual({ items, ok, failed, duplicates }, { items: 25, ok: 20, failed: 5, duplicates: 16 });
    }
    const without = await runCli(["run", join(tempDir(), "distinct"), "--out", distinctOut]);
    assert.doesNotMatch(without.stdout, /same bytes/);
  });

  it("does so also where the compute process is killed in the middle", async () => {
    const distinctOut = join(tempDir(), "out-distinct");
    await run(await makeSource("distinct", 1), { out: distinctOut });
    const out = join(tempDir(), "out");
    const source = await makeSource("copies", copies);
    const place = { dir: tempDir(), source, out, log: join(tempDir(), "attempts.jsonl"), items: 25 };
    const acts = [{ point: "predict:before", nth: 2, what: "kill-child" }] as const;
    const running = startHooked(place, ["run", source, "--out", out, "--chunk-size", "3"], acts);
    const { code, stderr } = await running.result;
    assert.equal(code, 3, stderr);
    assert.match(stderr, /compute process ended: it was ended by SIGKILL/);
    await assertSameRows(out, distinctOut);
  });
});
