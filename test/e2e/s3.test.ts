import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { readSegments } from "../../src/dataset/items.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { openResults } from "../../src/results/open.js";
import { runCli, startCli } from "../support/cli.js";
import { resnet50ForTests } from "../support/model.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { startTestStore, type TestStore, testCredentialEnv, testCredentials } from "../support/s3/store.js";
import { projectRoot } from "../support/shared-data.js";
import { collect, useTempDir } from "../support/temp-dir.js";

const canaries = [testCredentials.accessKeyId, testCredentials.secretAccessKey, testCredentials.sessionToken ?? ""];
const assertNoCanary = (text: string, where: string) => {
  for (const canary of canaries) assert.ok(!text.includes(canary), `${canary} is in ${where}`);
};

describe("e2e/s3", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  let store: TestStore;
  let redis: TestRedis;
  let env: Record<string, string>;
  before(() => resnet50ForTests());
  beforeEach(async () => {
    store = await startTestStore();
    redis = await startTestRedis();
    env = { ...testCredentialEnv, AWS_ENDPOINT_URL: store.url, AWS_REGION: "eu-west-3" };
  });
  afterEach(async () => {
    await redis.close();
    await store.close();
  });

  /** Everything in the files below `directory`, unpacked. */
  const textOf = async (directory: string) => {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    const texts = files.map(async (file) => {
      const bytes = await readFile(file);
      return (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("latin1");
    });
    return (await Promise.all(texts)).join("\n");
  };

  it("labels a bucket and a list of objects, each once, and writes its credentials nowhere", async () => {
    const photo = async (name: string) => readFile(join(projectRoot, "examples/photos", name));
    const photos = { "in/a cat.png": await photo("chelsea.png"), "in/coffee.png": await photo("coffee.png") };
    await store.put("images", { ...photos, "in/page.jpg": Buffer.from("<html>"), "in/notes.txt": Buffer.from("x") });
    const faults = ["503", "reset", "500", "short"] as const;
    store.fault = ({ number }) => (number === 1 ? (faults[store.requests.length % faults.length] ?? null) : null);
    const list = join(tempDir(), "list.txt");
    const [id, secret] = canaries;
    const lines = ["s3://images/in/coffee.png", "s3://images/gone.jpg", `s3://${id}:${secret}@images/in/coffee.png`];
    await writeFile(list, lines.join("\n"));
    const watcher = redis.redis.duplicate();
    const monitor = await watcher.monitor();
    const commands: string[] = [];
    monitor.on("monitor", (_time: string, args: string[]) => commands.push(args.join(" ")));
    const out = join(tempDir(), "out");
    const flags = ["--redis-url", redis.url, "--log-level", "debug", "--format", "jsonl", "--json"];
    const args = ["run", "s3://images/in/", list, "--out", out, ...flags];
    const { code, stdout, stderr } = await runCli(args, { cwd: tempDir(), env });
    monitor.disconnect();
    watcher.disconnect();
    assert.equal(code, 3, stderr);
    const rows = await collect((await openResults(out)).rows());
    assert.deepEqual(
      rows.map(({ uri, error_code, label, etag }) => [uri, error_code ?? label, etag !== null]),
      [
        ["s3://images/in/a cat.png", "Egyptian_cat", true],
        ["s3://images/in/coffee.png", "espresso", true],
        ["s3://images/in/page.jpg", "DECODE_UNSUPPORTED", true],
        ["s3://images/in/coffee.png", "espresso", true],
        ["s3://images/gone.jpg", "FETCH_NOT_FOUND", false],
        ["s3://***@images/in/coffee.png", "ITEM_INVALID", false],
      ],
    );
    assert.match(stderr, /left out 1: no image extension/);
    assert.ok(commands.some((command) => command.includes(JSON.parse(stdout).runId)));
    assertNoCanary(commands.join("\n"), "what Redis was told");
    assertNoCanary(await textOf(out), "the dataset");
    assertNoCanary(`${stdout}\n${stderr}`, "the output");
  });

  it("ends with the store's word where that refuses the listing, and shows no credentials", async () => {
    await store.put("images", {});
    const args = ["enqueue", "s3://images/", "--redis-url", redis.url, "--out", "out", "--log-level", "debug"];
    const wrong = { AWS_SECRET_ACCESS_KEY: `${testCredentials.secretAccessKey}-wrong` };
    const { code, stdout, stderr } = await runCli(args, { cwd: tempDir(), env: { ...env, ...wrong } });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /Could not read the source at s3:\/\/images\/: status 403 SignatureDoesNotMatch/);
    assertNoCanary(`${stdout}\n${stderr}`, "the output");
    const empty = await runCli(args, { cwd: tempDir(), env });
    assert.equal(empty.code, 2, empty.stderr);
    assert.match(empty.stderr, /No items in `s3:\/\/images\/`: it is empty/);
  });

  it("goes on behind the last pinned object where the producer was killed in the middle of the listing", async () => {
    const keys = Array.from({ length: 1_200 }, (_, i) => `set/${String(i).padStart(6, "0")}.jpg`);
    await store.put("many", Object.fromEntries(keys.map((key) => [key, Buffer.from("x")])));
    const out = join(tempDir(), "out");
    const args = ["enqueue", "s3://many/set/", "--chunk-size", "64", "--redis-url", redis.url, "--out", out, "--json"];
    // Never answered: all that was listed before is pinned when this is asked for, but for a part of a segment.
    const asked = new Promise<void>((resolve) => {
      store.answer = ({ query }) => {
        if (!query.has("continuation-token")) return false;
        resolve();
        return true;
      };
    });
    const first = startCli(args, { cwd: tempDir(), env });
    await asked;
    first.process.kill("SIGKILL");
    await first.result;
    store.answer = () => false;
    const before = store.requests.length;
    const { code, stdout, stderr } = await runCli(args, { cwd: tempDir(), env });
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).items, 1_200);
    const starts = store.requests.slice(before).map(({ query }) => query.get("start-after"));
    assert.ok(starts.includes(keys[64 + 128 + 256 + 512 - 1] ?? ""), `${starts}`);
    const pinned: string[] = [];
    for await (const { items } of readSegments(openStorage(out))) pinned.push(...items.map(({ uri }) => uri));
    assert.deepEqual(
      pinned,
      keys.map((key) => `s3://many/${key}`),
    );
  });
});
