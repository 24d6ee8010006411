import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describeModel } from "../../../src/worker/model/describe-model.js";
import { importModel } from "../../../src/worker/model/import.js";
import { listKnownModels, resolveModel } from "../../../src/worker/model/known-models.js";
import { findPublished, type PublishedModel } from "../../../src/worker/model/published.js";
import { pullModel } from "../../../src/worker/model/pull.js";
import type { PullOptions, PullProgress } from "../../../src/worker/model/pull-options.js";
import { pullPublished } from "../../../src/worker/model/pull-published.js";
import { isModelCached, readManifest, readModel } from "../../../src/worker/model/store.js";
import { useTempDir } from "../../support/temp-dir.js";
import { fixtureBytes, fixturePath } from "../../support/weight-fixtures.js";

const name = "resnet50-v2";
const weights = fixtureBytes("state-dict.pth");
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

describe("worker/model/pull-published", () => {
  const cacheDir = useTempDir();
  const servers: Server[] = [];

  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.close();
      server.closeAllConnections();
    }
  });

  async function serve(listener: RequestListener): Promise<URL> {
    const server = createServer(listener);
    servers.push(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/models/`);
  }
  const serveBytes = (bytes: Uint8Array) => serve((_, response) => response.end(bytes));

  /** resnet50-v2 as it would be if torchvision's file held the tiny network's weights. */
  async function tinyPublished(bytes = weights, changes: Partial<PublishedModel> = {}): Promise<PublishedModel> {
    const { model } = await importModel({
      cacheDir: join(cacheDir(), "other"),
      name: "tiny",
      path: fixturePath("state-dict.pth"),
    });
    await rm(join(cacheDir(), "other"), { recursive: true });
    const published = findPublished(name) ?? assert.fail();
    const file = `resnet50-${sha256(bytes).slice(0, 8)}.pth`;
    return { ...published, spec: model.spec, file, maxBytes: weights.length, ...changes };
  }
  const pull = (model: PublishedModel, from: URL, options: Partial<PullOptions> = {}) =>
    pullPublished(model, { cacheDir: cacheDir(), from, ...options });

  async function assertFails(pulling: Promise<unknown>, reason: RegExp, code = "MODEL_PULL_FAILED"): Promise<void> {
    await assert.rejects(pulling, { code, message: reason });
    assert.deepEqual(await readdir(join(cacheDir(), "models")), []);
  }

  it("fetches, checks and keeps the weights, with the whole digest of the file pinned", async () => {
    const asked: (string | undefined)[] = [];
    const from = await serve(({ url }, response) => {
      asked.push(url);
      response.setHeader("content-length", weights.length).end(weights);
    });
    const model = await tinyPublished();
    const seen: PullProgress[] = [];
    const pulled = await pull(model, from, { onProgress: (progress) => seen.push(progress) });
    assert.equal(pulled.fetched, true);
    assert.deepEqual(seen.at(-1), { receivedBytes: weights.length, totalBytes: weights.length });
    const { source, imported } = await readManifest(pulled.modelDir);
    assert.deepEqual([source, imported?.sourceSha256], [`${from}${model.file}`, sha256(weights)]);
    const resolved = await resolveModel(cacheDir(), name);
    assert.deepEqual(
      [resolved.title, resolved.licence, resolved.preprocess.shortestSide],
      ["ResNet-50 (torchvision, ImageNet-1k V2)", "BSD-3-Clause", 232],
    );
    assert.deepEqual((await readModel(pulled.modelDir, pulled.modelSha256)).model, resolved);
    const listed = (await listKnownModels(cacheDir())).filter((each) => each.name === name);
    assert.deepEqual(
      listed.map(({ state, licence }) => [state, licence]),
      [["cached", "BSD-3-Clause"]],
    );
    assert.equal((await pull(model, from)).fetched, false);
    assert.deepEqual(asked, [`/models/${model.file}`]);
    assert.deepEqual(await readdir(join(cacheDir(), "models")), [name]);
  });

  it("has no digest before it is pulled, so nothing can name it, and says what to do", async () => {
    const refused = { code: "MODEL_NOT_PULLED", message: /run `labelmill models pull resnet50-v2`/ };
    await assert.rejects(describeModel(cacheDir(), name, "fp32"), refused);
    await assert.rejects(resolveModel(cacheDir(), name), refused);
  });

  it("refuses other bytes than those whose digest the name begins with", async () => {
    const changed = weights.slice();
    changed[9000] = (changed[9000] as number) ^ 1;
    await assertFails(
      pull(await tinyPublished(), await serveBytes(changed)),
      /the file has sha256 [0-9a-f]{64}, expected one that begins with [0-9a-f]{8}$/,
    );
    await assertFails(
      pullModel(name, { cacheDir: cacheDir(), from: await serveBytes(weights) }),
      /expected one that begins with 11ad3fa6/,
    );
  });

  it("refuses a file of that digest that holds another network", async () => {
    const other = fixtureBytes("basic.safetensors");
    const model = await tinyPublished(other, { maxBytes: other.length });
    await assertFails(pull(model, await serveBytes(other)), /tensor conv1.weight|tensor layer1/, "MODEL_INVALID");
  });

  it("says where a download broke off, that the server lacks the file, or that there is no server", async () => {
    const model = await tinyPublished();
    const cut = await serve((_, response) => {
      response.setHeader("content-length", weights.length).write(weights.subarray(0, 5000), () => response.destroy());
    });
    await assertFails(pull(model, cut), /\.pth broke off after 5000 bytes/);
    await assertFails(pull(model, await serve((_, response) => response.writeHead(404).end())), /\.pth answers 404/);
    await assertFails(pull(model, new URL("http://127.0.0.1:1/")), /\.pth cannot be reached: .*(ECONNREFUSED|port)/);
  });

  it("fetches no more than the file's size, claimed or sent", async () => {
    const model = await tinyPublished();
    const claims = await serve((_, response) => response.setHeader("content-length", 1e12).write("x"));
    await assertFails(pull(model, claims), /offers 1000000000000 bytes, expected 28021 at most/);
    let sent = 0;
    const endless = await serve((_, response) => {
      const send = () => {
        sent += 10_000;
        response.write(new Uint8Array(10_000), (error) => error ?? setImmediate(send));
      };
      send();
    });
    await assertFails(pull(model, endless), /sends more than the expected 28021 bytes/);
    assert.ok(sent < 100e6);
  });

  it("follows redirects, but not for ever", async () => {
    const model = await tinyPublished();
    const to = await serveBytes(weights);
    const through = await serve((_, response) => response.writeHead(302, { location: `${to}elsewhere` }).end());
    const round = await serve(({ url }, response) => response.writeHead(301, { location: url }).end());
    await assertFails(pull(model, round), /redirects more than 5 times/);
    assert.equal((await pull(model, through)).fetched, true);
  });

  it("brings the same file again with --force, over a damaged one too, and refuses another", async () => {
    const model = await tinyPublished();
    const from = await serveBytes(weights);
    const { modelDir, modelSha256 } = await pull(model, from);
    await writeFile(join(modelDir, "int8.json"), "{}");
    await rm(join(modelDir, "folded.safetensors"));
    assert.equal(await isModelCached(cacheDir(), name), false);
    assert.equal((await pull(model, from)).fetched, true);
    assert.equal((await readModel(modelDir, modelSha256)).weights.size, 26);
    assert.deepEqual((await readdir(modelDir)).sort(), ["folded.safetensors", "int8.json", "manifest.json"]);

    // As if somebody had found a file with the same eight digits.
    const pinned = await readFile(join(modelDir, "manifest.json"), "utf8");
    await writeFile(join(modelDir, "manifest.json"), pinned.replace(sha256(weights), "0".repeat(64)));
    const replaced = pull(model, from, { force: true });
    await assert.rejects(replaced, { code: "MODEL_PULL_FAILED", message: /the one that was pulled first had 0{64}/ });

    await writeFile(join(modelDir, "manifest.json"), "{");
    await assert.rejects(pull(model, from), { code: "MODEL_CORRUPT", message: /models pull resnet50-v2 --force/ });
    assert.equal((await pull(model, from, { force: true })).modelSha256, modelSha256);
  });

  it("leaves its name to it, and a model of the user's own that has it already alone", async () => {
    const path = fixturePath("half.pth");
    await assert.rejects(importModel({ cacheDir: cacheDir(), name, path }), { code: "MODEL_NAME" });
    // Imported by a version that knew no such model.
    const { modelDir } = await importModel({ cacheDir: cacheDir(), name: "mine", path });
    const manifest = await readFile(join(modelDir, "manifest.json"), "utf8");
    await writeFile(join(modelDir, "manifest.json"), manifest.replace('"name": "mine"', `"name": "${name}"`));
    await rename(modelDir, join(cacheDir(), "models", name));
    assert.equal((await resolveModel(cacheDir(), name)).title, "ResNet-11, from half.pth");
    const pulling = pull(await tinyPublished(), await serveBytes(weights), { force: true });
    await assert.rejects(pulling, { code: "MODEL_NAME", message: /a model of your own has it/ });
    assert.equal((await resolveModel(cacheDir(), name)).licence, null);
  });
});
