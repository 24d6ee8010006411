import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { openResults } from "../../src/results/open.js";
import { runCli } from "../support/cli.js";
import { authorityPath, type FaultOrigin, faults, startFaultOrigin, uriOf } from "../support/faults/origin.js";
import { resnet50ForTests } from "../support/model.js";
import { projectRoot } from "../support/shared-data.js";
import { collect, useTempDir } from "../support/temp-dir.js";

const photo = join(projectRoot, "examples/photos/rocket.jpg");
const preload = fileURLToPath(new URL("../support/faults/ask-test-name-server.js", import.meta.url));
/** Short, so that the whole list takes seconds, and not so short that a busy machine misses them. */
const deadlines = [
  ...["--connect-timeout-ms", "3000", "--headers-timeout-ms", "3000", "--idle-timeout-ms", "3000"],
  ...["--fetch-timeout-ms", "6000", "--fetch-retries", "1"],
];

describe("e2e/http-faults", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  let origin: FaultOrigin;
  before(() => resnet50ForTests());
  beforeEach(async () => {
    origin = await startFaultOrigin(await readFile(photo));
  });
  afterEach(() => origin.close());

  const run = async (lines: readonly string[], args: readonly string[]) => {
    const list = join(tempDir(), "list.txt");
    const out = join(tempDir(), "out");
    await writeFile(list, lines.join("\n"));
    const env = { TEST_NAME_SERVER: origin.nameServer, NODE_EXTRA_CA_CERTS: authorityPath };
    const result = await runCli(["run", list, "--out", out, "--json", ...args], { cwd: tempDir(), env, preload });
    const rows = await collect((await openResults(out)).rows({ columns: ["uri", "error_code", "error_message"] }));
    return { ...result, rows, out };
  };

  it(`gives each of ${faults.length} faults a row with its code, and connects to no canary`, async () => {
    assert.ok(faults.length >= 40);
    const limits = ["--respect-robots-tag", "--allow-private", "127.0.0.1", "--max-item-bytes", "300000"];
    const uris = faults.map((fault) => uriOf(fault, origin.at));
    const { code, stderr, stdout, rows, out } = await run(uris, [...limits, ...deadlines]);
    assert.equal(code, 3, stderr);
    const found = faults.map(({ name }, i) => `${name}: ${rows[i]?.error_code ?? "ok"}`);
    assert.deepEqual(
      found,
      faults.map((fault) => `${fault.name}: ${fault.code}`),
      JSON.stringify(rows, null, 1),
    );
    assert.equal(rows.length, faults.length);
    assert.equal(origin.canaryConnections(), 0);
    connect(origin.at.canaryPort, "127.0.0.2").on("error", () => {});
    while (origin.canaryConnections() === 0) await sleep(5);
    const pinned = await Promise.all(
      (await readdir(join(out, "items"))).map(async (name) => {
        const bytes = await readFile(join(out, "items", name));
        return name.endsWith(".gz") ? gunzipSync(bytes).toString() : bytes.toString();
      }),
    );
    const written = JSON.stringify([rows, stderr, stdout, pinned]);
    assert.ok(!written.includes("hunter2"), "a password was written");
    // What may help is tried again, and nothing else.
    for (const name of ["status-404", "status-451", "gzip-bomb", "retry-after-hour"])
      assert.equal(origin.visits(name), 1, name);
    for (const name of ["status-500", "status-429", "reset", "long-length", "stalled-body"])
      assert.equal(origin.visits(name), 2, name);
  });

  it("mixes web addresses with paths, and opens nothing private unless told to", async () => {
    const uri = uriOf(faults[0] ?? assert.fail(), origin.at);
    const { code, rows, stderr } = await run([photo, uri, "https://[::1]/a.jpg"], []);
    assert.equal(code, 3, stderr);
    assert.deepEqual(
      rows.map((row) => row.error_code),
      [null, "FETCH_BLOCKED", "FETCH_BLOCKED"],
    );
    assert.match(
      rows[1]?.error_message ?? "",
      /image\.localhost.* may not be fetched: 127\.0\.0\.1 is a loopback address/,
    );
    assert.equal(origin.visits("image"), 0);
  });
});
