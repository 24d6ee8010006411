/**
 * Everywhere that a secret may be given, a canary is, and then it is looked for everywhere that is written to: logs, answers,
 * errors, metrics, Redis, the dataset.
 */
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { type RunningCli, runCli, startCli } from "../support/cli.js";
import { probe } from "../support/metrics.js";
import { resnet50ForTests } from "../support/model.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { completed } from "../support/run-harness.js";
import { projectRoot } from "../support/shared-data.js";
import { useTempDir } from "../support/temp-dir.js";

const canary = "c4n4ryTellsAll";
const clean = (text: string, where: string) => assert.ok(!text.includes(canary), `the canary is in ${where}: ${text}`);

describe("e2e/secrets", function () {
  this.timeout(180_000);
  const tempDir = useTempDir();
  let redis: TestRedis;
  let web: Server;
  let authorized = 0;
  let worker: RunningCli | null = null;
  before(() => resnet50ForTests());
  beforeEach(async () => {
    redis = await startTestRedis();
    await redis.redis.acl("SETUSER", "mill", "on", `>${canary}/@?`, "~*", "&*", "+@all");
    const photo = await readFile(join(projectRoot, "examples/photos/rocket.jpg"));
    authorized = 0;
    web = createServer((request, response) => {
      if (request.headers.authorization === `Bearer ${canary}`) authorized += 1;
      if (request.url === "/moved") response.writeHead(302, { location: `/gone?token=${canary}` }).end(canary);
      else if (request.url === "/photo.jpg") response.end(photo);
      else if (request.url?.startsWith("/bucket/"))
        response.writeHead(404).end(`<Error><Code>NoSuchKey</Code>${canary}</Error>`);
      else response.writeHead(404, { "x-echo": canary }).end(canary);
    });
    await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
  });
  afterEach(async () => {
    worker?.process.kill("SIGKILL");
    await worker?.result;
    worker = null;
    web.closeAllConnections();
    await new Promise((resolve) => web.close(resolve));
    await redis.close();
  });

  const settings = (port: number) => {
    const password = encodeURIComponent(`${canary}/@?`);
    const env = {
      REDIS_URL: `${redis.url}?username=mill&password=${password}`,
      WEB_HEADERS: `Authorization: Bearer ${canary}\nCookie: session=${canary}`,
      HTTPS_PROXY: `http://mill:${canary}@127.0.0.1:1`,
      AWS_ACCESS_KEY_ID: canary,
      AWS_SECRET_ACCESS_KEY: canary,
      AWS_SESSION_TOKEN: canary,
      AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
    };
    const flags = ["--log-level", "debug", "--log-format", "json"];
    return { env, flags };
  };

  it("are in no log, answer, metric, key of Redis or file of a dataset", async () => {
    const { port } = web.address() as AddressInfo;
    const { env, flags } = settings(port);
    const host = `http://127.0.0.1:${port}`;
    const lines = [
      `${host}/photo.jpg`,
      `${host}/moved`,
      `${host}/gone`,
      `http://mill:${canary}@127.0.0.1:${port}/photo.jpg`,
      `${host}/photo.jpg?token=${canary}`,
      `https://127.0.0.1:${port}/by-proxy.jpg`,
      "s3://bucket/gone.jpg",
      `s3://${canary}:${canary}@bucket/photo.jpg`,
    ];
    const list = join(tempDir(), "list.txt");
    await writeFile(list, lines.join("\n"));
    const commands: string[] = [];
    const watcher = redis.redis.duplicate();
    const monitor = await watcher.monitor();
    monitor.on("monitor", (_time: string, args: string[]) => {
      if (!/^(auth|hello|acl)$/i.test(args[0] ?? "")) commands.push(args.join(" "));
    });
    const out = join(tempDir(), "out");
    const web127 = ["--allow-private", "127.0.0.1/32", "--header", `${host}=env:WEB_HEADERS`, "--fetch-retries", "0"];
    worker = startCli(["work", "--allow-root", tempDir(), ...web127, "--metrics-port", "0", ...flags], { env });
    await worker.said(/"url":"http:/);
    const url = /"url":"(http:[^"]+)"/.exec(worker.stderr())?.[1] ?? "";
    const queued = await runCli(["enqueue", list, "--out", out, "--format", "jsonl", "--json", ...flags], { env });
    assert.equal(queued.code, 0, queued.stderr);
    await completed({ storage: openStorage(out) });
    const { runId } = JSON.parse(queued.stdout);
    const shown = await runCli(["runs", "show", runId, ...flags], { env });
    const listed = await runCli(["runs", "list", "--json", ...flags], { env });
    const { text: metrics } = await probe(url, "/metrics");
    worker.process.kill("SIGTERM");
    const worked = await worker.result;
    for (const [where, { stdout, stderr }] of Object.entries({ queued, shown, listed, worked }))
      clean(stdout + stderr, where);
    assert.match(shown.stdout + listed.stdout, /\?\*\*\*/, "what is shown of the url");
    clean(metrics, "metrics");
    assert.ok(
      commands.some((command) => command.includes(runId)),
      "the monitor saw the run",
    );
    clean(commands.join("\n"), "Redis");
    clean(await textOf(out), "dataset");
    assert.ok(authorized > 0, "the header was sent");
    monitor.disconnect();
    watcher.disconnect();
  });

  it("are in no error of an option or an address that is wrong", async () => {
    const { env, flags } = settings(1);
    const urls = [`http://u:${canary}@h`, `redis://u:${canary}@127.0.0.1:1`, `redis://u:a/${canary}@127.0.0.1`];
    const more = [`redis://127.0.0.1:1?password=${canary}`, `${redis.url}?username=mill&password=${canary}`];
    const commands: (readonly [string[], Record<string, string>])[] = [
      ...[...urls, ...more].map((url): [string[], Record<string, string>] => [["runs", "list"], { REDIS_URL: url }]),
      [["doctor"], { REDIS_URL: `redis://u:${canary}@127.0.0.1:1` }],
      [["run", `https://u:${canary}@h/x.jpg`], {}],
      [["run", "s3://b/", "--s3-endpoint", `u:${canary}@h`], {}],
      [["run", "s3://b/", "--s3-endpoint", `ftp://u:${canary}@h`], {}],
      [["run", "https://h/x.jpg", "--header", `h=Authorization: ${canary}`], {}],
      [["run", "https://h/x.jpg"], { HTTPS_PROXY: `ftp://u:${canary}@h` }],
    ];
    for (const [args, own] of commands) {
      const { code, stdout, stderr } = await runCli([...args, ...flags], { env: { ...env, ...own }, cwd: tempDir() });
      assert.ok(code === 1 || code === 2 || args[0] === "doctor", `${args.join(" ")}: ${code} ${stderr}`);
      clean(stdout + stderr, args.join(" ").replaceAll(canary, "***"));
      assert.doesNotMatch(stderr, /unexpected error/);
    }
  });
});

/** Everything in the files below `directory`, unpacked. */
async function textOf(directory: string): Promise<string> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const texts = files.map(async (file) => {
    const bytes = await readFile(file);
    return (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("latin1");
  });
  return (await Promise.all(texts)).join("\n");
}
