/**
 * The judge of a chaos round. It shares no code with the product: it reads the pinned list, the parts and the summary with
 * plain gunzip and hyparquet, and the attempt log for how often work was done.
 */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { type Passage, readLog } from "./plan.js";

/** Work beyond the necessary. */
export interface Executions {
  /** Times that a chunk was taken, or tried to be committed, beyond once. */
  readonly takesAgain: number;
  readonly commitsAgain: number;
  /** Images that went to a compute child beyond once each. */
  readonly imagesAgain: number;
}

interface PinnedLine {
  readonly index: number;
  readonly id: string;
  readonly uri: string;
}

/**
 * Asserts that the dataset in `out` holds exactly one row for each of `items` items, all of them `ok` but those whose uri is
 * in `failed`, which have that code; that its summary counts them so; and that nothing half-written lies about.
 */
export async function judgeDataset(
  out: string,
  items: number,
  failed: ReadonlyMap<string, string> = new Map(),
): Promise<void> {
  const pinned = await readPinned(out);
  assert.deepEqual(
    pinned.map(({ index }) => index),
    Array.from({ length: items }, (_, i) => i),
    "the pinned list",
  );
  const rows = await readRows(out);
  assert.equal(rows.length, items, "rows");
  rows.forEach((row, i) => {
    const { id, uri } = pinned[i] as PinnedLine;
    const code = failed.get(uri) ?? null;
    const expected = { item_index: i, item_id: id, uri, status: code === null ? "ok" : "failed", error_code: code };
    const { item_index, item_id, status, error_code } = row;
    assert.deepEqual({ item_index: Number(item_index), item_id, uri: row.uri, status, error_code }, expected);
    assert.equal(row.label === null, code !== null, `the label of item ${i}`);
  });
  const summary = JSON.parse(await readFile(join(out, "summary.json"), "utf8")) as Record<string, unknown>;
  const told = [summary.items, summary.ok, summary.failed];
  assert.deepEqual(told, [items, items - failed.size, failed.size], "the summary's counts");
  const stray = (await readdir(out, { recursive: true })).filter((path) => path.endsWith(".tmp"));
  assert.deepEqual(stray, [], "temporary files");
}

async function readPinned(out: string): Promise<PinnedLine[]> {
  const names = (await readdir(join(out, "items"))).filter((name) => name.startsWith("segment-")).sort();
  const texts = await Promise.all(
    names.map(async (name) => gunzipSync(await readFile(join(out, "items", name))).toString()),
  );
  return texts.flatMap((text) => {
    const [, ...lines] = text.split("\n").filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line) as PinnedLine);
  });
}

async function readRows(out: string): Promise<Record<string, unknown>[]> {
  const columns = ["item_index", "item_id", "uri", "status", "error_code", "label"];
  const names = (await readdir(join(out, "parts"))).sort();
  const parts = await Promise.all(
    names.map(async (name) => {
      assert.match(name, /^part-\d{8}\.parquet$/);
      return parquetReadObjects({ file: await asyncBufferFromFile(join(out, "parts", name)), columns, compressors });
    }),
  );
  return parts.flat();
}

/** What was done more than once, by the attempt log. */
export async function countExecutions(log: string, items: number): Promise<Executions> {
  const passages = await readLog(log);
  const again = (point: Passage["point"]): number => {
    const of = passages.filter((each) => each.point === point).map((each) => each.of);
    return of.length - new Set(of).size;
  };
  const images = passages.filter(({ point }) => point === "predict:before").length;
  return { takesAgain: again("take:after"), commitsAgain: again("link:before"), imagesAgain: images - items };
}
