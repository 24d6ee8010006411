import assert from "node:assert/strict";
import { readPartRows } from "../../src/dataset/part.js";
import { createRunHead } from "../../src/dataset/run-head.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { failure } from "../../src/shared/errors.js";
import type { ComputeClient } from "../../src/worker/compute-client/client.js";
import { type Admit, admitAtOnce } from "../../src/worker/fetch/fetcher.js";
import { createWorkerMeter } from "../../src/worker/health/meter.js";
import { failedWith, type Outcome, succeeded } from "../../src/worker/outcome.js";
import { runChunk } from "../../src/worker/pipeline.js";
import { createPredictionWindow } from "../../src/worker/prediction-window.js";
import { createProcessLimits } from "../../src/worker/process-limits.js";
import { createStages } from "../../src/worker/stages.js";
import { sampleIdentity } from "../dataset/samples.js";
import { fetchedAs, somePrediction } from "../support/run-harness.js";
import { collect, useTempDir } from "../support/temp-dir.js";

const ref = (chunk: number) => ({ v: 1, run: "r", chunk, segment: 0, sha256: "0".repeat(64) }) as const;
/** As many bytes as one process may hold. */
const largest = Buffer.allocUnsafeSlow(2 ** 28);

describe("worker/stages", () => {
  const tempDir = useTempDir();

  /** Stages of one worker, whose chunks are `uris` each; `predict` and `bytesOf` decide about an item. */
  async function worker({
    bytesOf = (uri: string): Uint8Array => Buffer.from(uri),
    /** What is there; by default something else at each fetch. */
    contentOf = (uri: string, nth: number) => `${uri} ${nth}`,
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
        return succeeded({ ...fetchedAs(contentOf(uri, fetched.length)), bytes: bytesOf(uri) });
      },
    };
    const ofProcess = createProcessLimits(
      { decodeConcurrency: 1, batchSize: 1, children: 1, fetchConcurrency: 8 },
      compute,
    );
    let held = 0;
    const holdBytes = (delta: number) => {
      held += delta;
      ofProcess.holdBytes(delta);
    };
    const limits = { ...ofProcess, holdBytes };
    const addRows = (delta: number) => {
      rowsInHand += delta;
    };
    const window = createPredictionWindow();
    const ofWorker = { fetcher, compute, window, limits, labels: ["zero", "one"], meter: createWorkerMeter(), addRows };
    const context = { head, storage, segments, carried: null, ...ofWorker };
    return {
      fetched,
      lastStepMs: () => ofWorker.meter.counts.stepAtMs,
      rowsInHand: () => rowsInHand,
      held: () => held,
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

  it("lets go of the bytes of an aborted chunk, so that the next one is fetched; each fetch is a step", async () => {
    const { run, fetched, predictWith, lastStepMs } = await worker({ bytesOf: () => largest, uris: ["/a"] });
    const controller = new AbortController();
    const isPredicting = new Promise<void>((resolve) => {
      predictWith(() => {
        resolve();
        return new Promise(() => {});
      });
    });
    const madeMs = lastStepMs();
    const first = run(0, controller.signal);
    await isPredicting;
    assert.ok(lastStepMs() > madeMs);
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

  describe("with the same bytes", () => {
    const firstLetter = (uri: string) => uri.charAt(1);
    const partOf = (chunk: number) => `parts/part-${String(chunk).padStart(8, "0")}.parquet`;
    const rowsOf = (chunk: number) => collect(readPartRows(openStorage(tempDir()), partOf(chunk)));

    /** A model that is asked, and answers when the test says so. */
    function createModel() {
      const asked: ((outcome: Outcome<typeof somePrediction>) => void)[] = [];
      const predict = () => new Promise<Outcome<typeof somePrediction>>((resolve) => asked.push(resolve));
      const waitFor = async (times: number) => {
        while (asked.length < times) await new Promise((resolve) => setImmediate(resolve));
      };
      const crash = failedWith(failure("WORKER_CRASH", { reason: "a test" }));
      return { asked, predict, waitFor, crash };
    }

    it("asks the model once, and gives every item its own row, which it would have had otherwise", async () => {
      const { run, predictWith } = await worker({ uris: ["/a1", "/a2", "/b", "/a3"], contentOf: firstLetter });
      let predicted = 0;
      predictWith(async () => {
        predicted += 1;
        return succeeded(somePrediction);
      });
      const { ok, duplicates } = await run(0);
      assert.deepEqual({ ok, duplicates, predicted }, { ok: 4, duplicates: 2, predicted: 2 });
      assert.equal((await run(1)).duplicates, 4);
      const [first, second, , fourth] = await rowsOf(0);
      const own = { item_index: 0, item_id: "/a1", uri: "/a1" };
      assert.deepEqual([second?.uri, second?.item_index], ["/a2", 1]);
      assert.deepEqual({ ...second, ...own }, first);
      assert.deepEqual({ ...fourth, ...own }, first);
    });

    it("counts no duplicate of what could not be decoded, as it costs the model nothing", async () => {
      const { run, predictWith } = await worker({ uris: ["/a1", "/a2"], contentOf: firstLetter });
      const corrupt = failure("DECODE_CORRUPT", { reason: "a test" });
      predictWith(async () => failedWith(corrupt));
      const { failuresByCode, duplicates } = await run(0);
      assert.deepEqual({ failuresByCode, duplicates }, { failuresByCode: { DECODE_CORRUPT: 2 }, duplicates: 0 });
    });

    it("waits without a place at the model, so that other images come to it", async () => {
      const copies = Array.from({ length: 10 }, (_, i) => `/a${i}`);
      const { run, predictWith } = await worker({ uris: [...copies, "/b", "/c"], contentOf: firstLetter });
      const model = createModel();
      predictWith(model.predict);
      const running = run(0);
      await model.waitFor(3);
      for (const answer of model.asked) answer(succeeded(somePrediction));
      assert.deepEqual([(await running).duplicates, model.asked.length], [9, 3]);
    });

    it("gets its outcome although the chunk that sent the image to the model is given back", async () => {
      const { run, fetched, predictWith } = await worker({ uris: ["/a"], contentOf: firstLetter });
      const model = createModel();
      predictWith(model.predict);
      const controller = new AbortController();
      const first = run(0, controller.signal);
      await model.waitFor(1);
      const second = run(1);
      while (fetched.length < 2) await new Promise((resolve) => setImmediate(resolve));
      controller.abort(new Error("given back"));
      await assert.rejects(first, /given back/);
      model.asked[0]?.(succeeded(somePrediction));
      assert.deepEqual([(await second).duplicates, model.asked.length], [1, 1]);
      await assert.rejects(rowsOf(0));
    });

    it("is aborted while it waits, at once, and is not tried afterwards", async () => {
      const { run, fetched, predictWith } = await worker({ uris: ["/a"], contentOf: firstLetter });
      const model = createModel();
      predictWith(model.predict);
      const first = run(0);
      await model.waitFor(1);
      const controller = new AbortController();
      const second = run(1, controller.signal);
      while (fetched.length < 2) await new Promise((resolve) => setImmediate(resolve));
      controller.abort(new Error("given back"));
      await assert.rejects(second, /given back/);
      model.asked[0]?.(model.crash);
      assert.deepEqual((await first).failuresByCode, { WORKER_CRASH: 1 });
      predictWith(async () => succeeded(somePrediction));
      assert.equal((await run(2)).ok, 1);
      assert.equal(model.asked.length, 1);
    });

    it("is tried alone where the other's failure says nothing of the bytes", async () => {
      const { run, predictWith } = await worker({ uris: ["/a1", "/a2", "/a3"], contentOf: firstLetter });
      const model = createModel();
      predictWith(model.predict);
      const running = run(0);
      await model.waitFor(1);
      model.asked[0]?.(model.crash);
      await model.waitFor(2);
      model.asked[1]?.(succeeded(somePrediction));
      const { ok, failuresByCode, duplicates } = await running;
      assert.deepEqual(
        { ok, failuresByCode, duplicates },
        { ok: 2, failuresByCode: { WORKER_CRASH: 1 }, duplicates: 1 },
      );
    });

    it("holds its bytes until it has its outcome, and no longer", async () => {
      const uris = ["/a1", "/a2", "/a3"];
      const { run, held, predictWith } = await worker({ uris, contentOf: firstLetter, bytesOf: () => Buffer.alloc(7) });
      const model = createModel();
      predictWith(model.predict);
      const running = run(0);
      await model.waitFor(1);
      while (held() < 21) await new Promise((resolve) => setImmediate(resolve));
      model.asked[0]?.(succeeded(somePrediction));
      assert.equal((await running).duplicates, 2);
      assert.equal(held(), 0);
    });
  });
});
