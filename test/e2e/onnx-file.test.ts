import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Finding } from "../../src/library/finding.js";
import { openResults } from "../../src/results/open.js";
import type { Certificate } from "../../src/worker/model/certificate.js";
import { type CliResult, runCli, startCli } from "../support/cli.js";
import { onnxPath } from "../support/onnx-fixtures.js";
import { startTestRedis } from "../support/redis.js";
import { projectRoot } from "../support/shared-data.js";
import { collect, useTempDir } from "../support/temp-dir.js";

const photos = join(projectRoot, "examples/photos");

describe("e2e/onnx-file", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  const cli = (...args: string[]): Promise<CliResult> => runCli([...args, "--cache-dir", join(tempDir(), "cache")]);
  const succeed = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await cli(...args);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const importTiny = () => succeed("models", "import", onnxPath("external"), "--name", "tiny");

  it("imports, lists, summarises, runs and removes an .onnx file with external data", async () => {
    const imported = await importTiny();
    assert.match(
      imported,
      /^tiny: ONNX file external\.onnx; 5 classes, embeddings of 12, run as it is, on ONNX Runtime/,
    );
    assert.match(imported, /shortest side 256 \(linear\), centre 224, RGB, mean 123\.675, 116\.28, 103\.53/);
    const { models } = JSON.parse(await succeed("models", "list", "--json"));
    const tiny = models.find(({ name }: { name: string }) => name === "tiny");
    assert.deepEqual([tiny.source, tiny.state], ["external.onnx", "cached"]);
    const summary = await succeed("models", "summary", "tiny");
    assert.match(summary, /opset 18, run as it is\ninput x: NCHW, float32, any number of images a call\n/);
    assert.match(summary, /\nlinear +Gemm +65\n/);
    const out = join(tempDir(), "out");
    const result = JSON.parse(await succeed("run", photos, "--model", "tiny", "--out", out, "--json"));
    assert.deepEqual([result.ok, result.model, result.modelSha256], [4, "tiny", tiny.modelSha256]);
    assert.deepEqual(result.engines, ["onnx/cpu"]);
    const rows = await collect((await openResults(out)).rows());
    for (const row of rows) {
      assert.match(row.label ?? "", /^class_[0-4]$/);
      assert.deepEqual([row.embedding?.length, row.top_labels?.length, row.model], [12, 5, "tiny"]);
    }
    assert.match(await succeed("models", "rm", "tiny"), /^tiny removed from/);
  });

  it("gives the rows that its weights give when they are imported instead", async () => {
    const weights = join(projectRoot, "test/fixtures/weights/state-dict.pth");
    await succeed("models", "import", weights, "--name", "weights");
    await succeed("models", "import", onnxPath("softmax"), "--name", "graph");
    const rowsOf = async (model: string) => {
      const out = join(tempDir(), model);
      await succeed("run", photos, "--model", model, "--out", out);
      return collect((await openResults(out)).rows());
    };
    const [fromWeights, fromGraph] = [await rowsOf("weights"), await rowsOf("graph")];
    assert.equal(fromGraph.length, 4);
    for (const [index, row] of fromGraph.entries()) {
      const other = fromWeights[index];
      assert.deepEqual(row.top_labels, other?.top_labels);
      for (const [at, score] of (row.top_scores ?? []).entries())
        assert.ok(Math.abs(score - (other?.top_scores?.[at] ?? Number.NaN)) < 1e-5);
      for (const [at, number] of (row.embedding ?? []).entries())
        assert.ok(Math.abs(number - (other?.embedding?.[at] ?? Number.NaN)) < 1e-4);
    }
  });

  it("is worked on from a queue, and diagnosed and verified on the one engine that runs it", async () => {
    await importTiny();
    const redis = await startTestRedis();
    try {
      const out = join(tempDir(), "out");
      const shared = ["--model", "tiny", "--redis-url", redis.url];
      await succeed("enqueue", photos, ...shared, "--out", out);
      const worker = startCli(["work", ...shared, "--allow-root", photos, "--cache-dir", join(tempDir(), "cache")]);
      while (!existsSync(join(out, "summary.json"))) await sleep(100);
      worker.process.kill("SIGTERM");
      assert.equal((await worker.result).code, 0, worker.stderr());
    } finally {
      await redis.close();
    }
    const { findings } = JSON.parse(await succeed("doctor", "--model", "tiny", "--json")) as { findings: Finding[] };
    const detailOf = (subject: string) => findings.find((finding) => finding.subject === subject)?.detail ?? "";
    assert.match(detailOf("engine onnx"), /^onnx\/cpu in fp32, .* chosen: /);
    assert.match(
      detailOf("engine wasm"),
      /^not used: model tiny is an ONNX file, which runs as it is, on ONNX Runtime alone/,
    );
    const certificate = JSON.parse(await succeed("models", "verify", "tiny", "--json")) as Certificate;
    assert.deepEqual(
      certificate.engines.map(({ engine, precision }) => [engine, precision]),
      [["onnx/cpu", "fp32"]],
    );
    const int8 = certificate.absent.find(({ precision }) => precision === "int8");
    assert.match(int8?.reason ?? "", /tiny is an ONNX file and runs as it is, so int8 is not made of it/);
  });

  it("refuses what such a model cannot do with one sentence", async () => {
    await importTiny();
    const refuse = async (code: number, reason: RegExp, ...args: string[]) => {
      const result = await cli(...args);
      assert.match(result.stderr, reason);
      assert.equal(result.code, code);
    };
    const run = ["run", photos, "--model", "tiny", "--out", join(tempDir(), "out")];
    await refuse(2, /tiny is an ONNX file and runs as it is.* \[MODEL_AS_IS\]/, ...run, "--precision", "int8");
    await refuse(2, /\[MODEL_AS_IS\]/, "models", "quantize", "tiny", "--calibrate", photos);
    await refuse(1, /wasm cannot run here: model tiny is an ONNX file.*take --engine onnx/, ...run, "--engine", "wasm");
    const again = ["models", "import", onnxPath("keras"), "--name", "other"];
    await refuse(2, /`stride` to be left out for an \.onnx file/, ...again, "--stride", "3x3");
    await refuse(2, /`crop-size` to be 224, the only size of input/, ...again, "--crop-size", "299");
    await refuse(2, /`epsilon` to be left out for an \.onnx file/, ...again, "--epsilon", "0.1");
    assert.doesNotMatch(await succeed("models", "list", "--json"), /"name":"other"/);
  });
});
