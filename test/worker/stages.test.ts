import assert from "node:assert/strict";
import { readPartRows } from "../../src/dataset/part.js";
import { createRunHead } from "../../src/dataset/run-head.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { failure } from "../../src/shared/errors.js";
import type { ComputeClient } from "../../src/worker/compute-client/client.js";
import { type Admit, admitAtOnce } from "../../src/worker/fetch/fetcher.js";
import { failedWith, type Outcome, succeeded } from "../../src/worker/outcome.js";
import { runChunk } from "../../src/worker/pipeline.js";
import { createProcessLimits } from "../../src/worker/process-limits.js";
import { createStages } from "../../src/worker/stages.js";
import { sampleIdentity } from "../dataset/samples.js";
import { somePrediction } from "../support/run-harness.js";
import { collect, useTempDir } from "../support/temp-dir.js";

const ref = (chunk: number) => ({ v: 1, run: "r", chunk, segment: 0, sha256: "0".repeat(64) }) as const;
/** As many bytes as one process may hold. */
const largest = Buffer.allocUnsafeSlow(2 ** 28);

describe("worker/stages", () => {
  const tempDir = useTempDir();

  /** Stages of one worker, whose chunks are `uris` each; `predict` and `bytesOf` decide about an item. */
  async function worker({
    bytesOf = (uri: string): Uint8Array => Buffer.from(uri),
    uris = ["/a", "/b"],
    slowHost = Promise.resolve(),
  } = {}) {
    const storage = openStorage(tempDir());
    const { head } = await createRunHead(storage, { ...sampleIdentity, chunkSize: uris.length });
    const fetched: string[] = [];
    let predict = async (): Promise<Outcome<typeof somePrediction>> => succeeded(somePrediction);
    const compute = {
      report: { engine: "test/none", why: "a test", embeddingWidth: 4, loadMs: 0 },
      predict: () => predict(),
      times: () => ({ decodeMs: 0, inferMs: 0, batches: 0, images: 0, restarts: 0 }),
    } as unknown as ComputeClient;
    let rowsInHand = 0;
    const items = (chunk: number) =>
      uris.map((uri, i) => ({
        index: chunk * uris.length + i,
        id: uri,
        uri,
        ...(uri === "/invalid" ? { failure: failure("ITEM_INVALID", { reason: "empty" }) } : {}),
      }));
    const segments = { get: async ({ chunk }: { chunk: number }) => segmentOf(chunk, items(chunk)) };
    const fetcher = {
      fetch: async (uri: string, _signal: AbortSignal, admit: Admit = admitAtOnce) => {
        if (uri.startsWith("/slow")) await slowHost;
        (await admit("disk"))();
        fetched.push(uri);
        if (uri === "/gone") return failedWith(failure("FETCH_NOT_FOUND", { uri }));
        return succeeded({ bytes: bytesOf(uri), sha256: "a".repeat(64), etag: null, modifiedAt: null });
      },
    };
    const limits = createProcessLimits(
      { decodeConcurrency: 1, batchSize: 1, children: 1, fetchConcurrency: 8 },
      compute,
    );
    const addRows = (delta: number) => {
      rowsInHand += delta;
    };
    const context = { head, storage, segments, fetcher, compute, limits, labels: ["zero", "one"], addRows };
    return {
      fetched,
      rowsInHand: () => rowsInHand,
      predictWith: (other: typeof predict) => {
        predict = other;
      },
      async run(chunk: number, signal = new AbortController().signal) {
        const stages = createStages(context, { order: chunk + 1, attempt: 1, signal, outlast: (action) => action() });
        try {
          return await runChunk(ref(chunk), stages);
        } finally {
          stages.close();
        }
      },
    };
  }
  const segmentOf = (chunk: number, items: { index: number; id: string; uri: string }[]) => ({
    segment: 0,
    firstChunk: chunk,
    chunks: 1,
    firstItem: items[0]?.index ?? 0,
    chunkSize: items.length,
    items,
    resumeToken: null,
    leftOut: {},
  });

  it("makes one row an item, with the code of the stage at which it failed", async () => {
    const { run, fetched, rowsInHand } = await worker({ uris: ["/a", "/gone", "/invalid", "/b"] });
    const { ok, failuresByCode } = await run(0);
    assert.deepEqual([ok, failuresByCode], [2, { FETCH_NOT_FOUND: 1, ITEM_INVALID: 1 }]);
    assert.deepEqual(fetched, ["/a", "/gone", "/b"]);
    assert.equal(rowsInHand(), 0);
  });

  it("predicts what has come while a slow host is waited for, and keeps the items' order in the part", async () => {
    let answer = () => {};
    const slowHost = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const slow = Array.from({ length: 40 }, (_, i) => `/slow/${i}`);
    const { run, fetched, predictWith } = await worker({ uris: [...slow, "/a", "/b"], slowHost });
    let predicted = 0;
    predictWith(async () => {
      predicted += 1;
      if (predicted === 2) answer();
      return succeeded(somePrediction);
    });
    assert.equal((await run(0)).ok, 42);
    assert.deepEqual(fetched.slice(0, 2), ["/a", "/b"]);
    const rows = await collect(readPartRows(openStorage(tempDir()), "parts/part-00000000.parquet", ["item_index"]));
    assert.deepEqual(
      rows.map((row) => row.item_index),
      Array.from({ length: 42 }, (_, i) => i),
    );
  });

  it("lets go of the bytes of an aborted chunk, so that the next one is fetched", async () => {
    const { run, fetched, predictWith } = await worker({ bytesOf: () => largest, uris: ["/a"] });
    const controller = new AbortController();
    let predicting = () => {};
    const isPredicting = new Promise<void>((resolve) => {
      predicting = resolve;
    });
    predictWith(() => {
      predicting();
      return new Promise(() => {});
    });
    const first = run(0, controller.signal);
    await isPredicting;
    predictWith(async () => succeeded(somePrediction));
    const second = run(1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(fetched, ["/a"], "nothing more is fetched while the first one's bytes are held");
    controller.abort(new Error("enough"));
    await assert.rejects(first, /enough/);
    assert.equal((await second).ok, 1);
  });

  it("lets go of the bytes when the compute side fails, and of the rows in hand", async () => {
    const { run, predictWith, rowsInHand } = await worker({ bytesOf: () => largest });
    predictWith(async () => Promise.reject(new Error("no engine")));
    await assert.rejects(run(0), /no engine/);
    assert.equal(rowsInHand(), 0);
    predictWith(async () => succeeded(somePrediction));
    assert.equal((await run(1)).ok, 2);
  });

  it("fetches no further ahead than the bytes that may be held, and the fetches under way", async () => {
    const size = 2 ** 25;
    const big = largest.subarray(0, size);
    const uris = Array.from({ length: 60 }, (_, i) => `/${i}`);
    const { run, fetched, predictWith } = await worker({ bytesOf: () => big, uris });
    let predicted = 0;
    let mostAhead = 0;
    predictWith(async () => {
      mostAhead = Math.max(mostAhead, fetched.length - predicted);
      await new Promise((resolve) => setImmediate(resolve));
      predicted += 1;
      return succeeded(somePrediction);
    });
    assert.equal((await run(0)).ok, 60);
    // 8 of them fill 256 MiB; 16 may be on their way at that moment.
    assert.ok(mostAhead >= 8 && mostAhead <= 8 + 16, `held ${mostAhead} items of ${size} bytes`);
  });
});
