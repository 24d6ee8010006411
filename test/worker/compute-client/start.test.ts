import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import type { ComputeSettings, Prediction } from "../../../src/worker/compute/protocol.js";
import type { ComputeClient } from "../../../src/worker/compute-client/client.js";
import { startCompute } from "../../../src/worker/compute-client/start.js";
import { findModel } from "../../../src/worker/model/catalog.js";
import { loadLabels } from "../../../src/worker/model/known-models.js";
import { resnet50ForTests } from "../../support/model.js";
import { isAlive } from "../../support/processes.js";

const photos = resolve("examples", "photos");
const hardImages = resolve("..", "shared", "hard-images");

describe("worker/compute-client/start", function () {
  this.timeout(300_000);
  let settings: ComputeSettings;
  let client: ComputeClient;
  let log: string[];

  before(async () => {
    const { modelDir, modelSha256 } = await resnet50ForTests();
    settings = {
      modelDir,
      modelSha256,
      engine: "onnx",
      precision: "fp32",
      calibration: null,
      observe: false,
      batchSize: 4,
      maxWaitMs: 50,
      decodeConcurrency: 2,
      engineThreads: 2,
      itemTimeoutMs: 30_000,
      maxPixels: 100_000_000,
      withLogits: false,
      driverEnv: {},
    };
  });

  beforeEach(() => {
    log = [];
  });
  afterEach(() => client?.close());

  async function open(changed: Partial<ComputeSettings> = {}): Promise<void> {
    client = await startCompute({ ...settings, ...changed }, { log: { warn: (message) => log.push(message) } });
  }

  async function predict(bytes: Uint8Array): Promise<Prediction> {
    const outcome = await client.predict(bytes, 5);
    assert.ok(outcome.ok, outcome.ok ? "" : outcome.failure.message);
    return outcome.value;
  }

  const photo = (name: string): Buffer => readFileSync(join(photos, name));

  it("labels photos, in batches, and reports what runs", async () => {
    await open();
    const labels = await loadLabels("", findModel("resnet50"));
    const names = ["chelsea.png", "coffee.png", "camera.png"];
    const predictions = await Promise.all(names.map((name) => predict(photo(name))));
    const found = predictions.map(({ topIndices }) => labels[topIndices[0] ?? -1]);
    assert.deepEqual(found, ["Egyptian_cat", "espresso", "tripod"]);
    for (const { topIndices, topScores, embedding } of predictions) {
      assert.deepEqual([topIndices.length, topScores.length, embedding.length], [5, 5, 2048]);
      assert.deepEqual(
        topScores,
        topScores.toSorted((a, b) => b - a),
      );
      assert.ok(embedding.every(Number.isFinite));
    }
    assert.deepEqual([client.report.engine, client.report.embeddingWidth], ["onnx/cpu", 2048]);
    const { images, decodeMs, inferMs, restarts } = client.times();
    assert.deepEqual([images, restarts], [3, 0]);
    assert.ok(decodeMs > 0 && inferMs > 0);
  });

  it("gives the same prediction in any batch, and beside images that cannot be decoded", async () => {
    await open({ batchSize: 3 });
    const cat = photo("chelsea.png");
    const alone = await predict(cat);
    const crowd = await Promise.all(
      [cat, photo("coffee.png"), Buffer.from("no image"), photo("camera.png"), cat].map((bytes) =>
        client.predict(bytes, 5),
      ),
    );
    assert.deepEqual(
      crowd.map(({ ok }) => ok),
      [true, true, false, true, true],
    );
    for (const outcome of [crowd[0], crowd[4]]) {
      assert.ok(outcome?.ok);
      assert.deepEqual(outcome.value, alone);
    }
  });

  it("measures its batch size where it is asked to, counting no image of it, and keeps it for the next child", async () => {
    await open({ batchSize: "auto" });
    const { batchSize, whyBatchSize } = client.report;
    assert.match(whyBatchSize, /^fastest measured; images\/s: [\d.]+ by 1/);
    assert.ok([1, 2, 4, 8, 16, 32].includes(batchSize));
    assert.deepEqual([client.times().images, client.times().batches], [0, 0]);
    await predict(photo("chelsea.png"));
    assert.equal(client.times().images, 1);
  });

  it("takes the usual batch size of a CPU where none is asked for", async () => {
    await open({ batchSize: null });
    assert.deepEqual([client.report.batchSize, client.report.whyBatchSize], [8, "usual on a CPU"]);
  });

  it("gives one photo the same label in all its EXIF orientations", async function () {
    if (!existsSync(hardImages)) return this.skip();
    await open();
    const folder = join(hardImages, "recurser");
    for (const name of ["Landscape", "Portrait"]) {
      const files = readdirSync(folder).filter((file) => file.startsWith(name));
      const predictions = await Promise.all(files.map((file) => predict(readFileSync(join(folder, file)))));
      assert.equal(new Set(predictions.map(({ topIndices }) => topIndices[0])).size, 1);
      assert.equal(predictions.length, 9);
      // Each of the nine shows its own number, so they are not quite one photo.
      for (const { embedding } of predictions) assert.ok(cosine(embedding, predictions[0]?.embedding) > 0.9);
    }
  });

  it("answers every image when its child is killed at work", async () => {
    await open();
    const answers = Promise.all(Array.from({ length: 24 }, () => client.predict(photo("rocket.jpg"), 5)));
    await sleep(300);
    process.kill(client.pids[0] ?? 0, "SIGKILL");
    const outcomes = await answers;
    assert.ok(outcomes.every(({ ok }) => ok));
    assert.equal(client.times().restarts, 1);
    assert.match(log.join("\n"), /ended by SIGKILL/);
  });

  it("stops a decode that takes too long, and does the others again", async () => {
    // 780 MB of pixels in a small file, which takes a second to read.
    const create = { width: 9900, height: 9900, channels: 4, background: { r: 9, g: 99, b: 199, alpha: 0.5 } } as const;
    const slow = await sharp({ create }).toColourspace("rgb16").png({ compressionLevel: 1 }).toBuffer();
    await open({ itemTimeoutMs: 50 });
    const outcomes = await Promise.all(
      [photo("rocket.jpg"), slow, photo("coffee.png")].map((bytes) => client.predict(bytes, 5)),
    );
    const [first, second, third] = outcomes;
    assert.ok(first?.ok && third?.ok);
    assert.ok(second !== undefined && !second.ok);
    assert.equal(second.failure.code, "LIMIT_TIME");
  });

  it("refuses a model of another digest, and one that is damaged or absent", async () => {
    await assert.rejects(open({ modelSha256: "0".repeat(64) }), { code: "MODEL_CORRUPT" });
    const base = mkdtempSync(join(tmpdir(), "labelmill-model-"));
    try {
      await assert.rejects(open({ modelDir: base }), { code: "MODEL_NOT_PULLED" });
      cpSync(join(settings.modelDir, "manifest.json"), join(base, "manifest.json"));
      writeFileSync(join(base, "folded.safetensors"), "damaged");
      await assert.rejects(open({ modelDir: base }), { code: "MODEL_CORRUPT" });
    } finally {
      rmSync(base, { recursive: true });
    }
  });

  it("leaves no child behind when its own process is killed", async () => {
    await open();
    const entry = fileURLToPath(new URL("./orphan-parent.js", import.meta.url));
    const parent = fork(entry, [JSON.stringify(settings)]);
    const [pid] = (await once(parent, "message")) as [number];
    process.kill(pid, 0);
    parent.kill("SIGKILL");
    while (isAlive(pid)) await sleep(50);
  });

  it("gives its child nothing of its environment", async function () {
    if (!existsSync("/proc/self/environ")) return this.skip();
    await open();
    const names = readFileSync(`/proc/${client.pids[0]}/environ`, "utf8")
      .split("\0")
      .map((line) => line.split("=")[0])
      // Node adds the last to every child's environment while coverage is measured.
      .filter((name) => name !== "" && name !== "NODE_V8_COVERAGE");
    assert.deepEqual(names.toSorted(), [
      "NODE_CHANNEL_FD",
      "NODE_CHANNEL_SERIALIZATION_MODE",
      "NVIDIA_TF32_OVERRIDE",
      "TF_CPP_MIN_LOG_LEVEL",
      "TF_CUDNN_USE_AUTOTUNE",
      "TF_FORCE_GPU_ALLOW_GROWTH",
      "TF_NUM_INTEROP_THREADS",
      "TF_NUM_INTRAOP_THREADS",
      "UV_THREADPOOL_SIZE",
    ]);
  });
});

function cosine(a: Float32Array, b: Float32Array | undefined): number {
  const dot = (x: Float32Array, y: Float32Array): number =>
    x.reduce((sum, value, index) => sum + value * (y[index] ?? 0), 0);
  return b === undefined ? 0 : dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
