import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type ComputeClient, createComputeClient } from "../../../src/worker/compute-client/client.js";
import { poolClients } from "../../../src/worker/compute-client/pool.js";
import { childSettings } from "../../support/compute-settings.js";
import { isAlive } from "../../support/processes.js";

describe("worker/compute-client/pool", function () {
  this.timeout(20_000);
  let clients: ComputeClient[];
  let pool: ComputeClient;

  beforeEach(async () => {
    const entry = fileURLToPath(new URL("./scripted-child.js", import.meta.url));
    const spawnChild = () =>
      fork(entry, ["works"], { serialization: "advanced", stdio: ["ignore", "ignore", "pipe", "ipc"] });
    const sizes = [4, 8];
    clients = await Promise.all(
      sizes.map((batchSize) =>
        createComputeClient(
          spawnChild,
          { ...childSettings, batchSize, itemTimeoutMs: 2_000 },
          { timing: { backoffMs: 10 } },
        ),
      ),
    );
    pool = poolClients(clients);
  });
  afterEach(() => pool.close());

  /** One image a letter, all at once; gives the class, `ok` for the usual one, or the code of each. */
  async function answersTo(letters: string): Promise<(string | number | undefined)[]> {
    const outcomes = await Promise.all([...letters].map((letter) => pool.predict(Buffer.from(letter), 1)));
    return outcomes.map((outcome) => (outcome.ok ? outcome.value.topIndices[0] : outcome.failure.code));
  }

  it("shares images out among its children", async () => {
    const pids = await answersTo("pppppppp");
    assert.equal(new Set(pids).size, 2);
    for (const [pid] of clients.map(({ pids: own }) => own))
      assert.equal(pids.filter((each) => each === pid).length, 4);
    assert.equal(pool.times().images, 8);
  });

  it("gives more to the child that answers, while another one is held up", async () => {
    const held = pool.predict(Buffer.from("h"), 1);
    const pids: unknown[] = [];
    for (let image = 0; image < 6; image += 1) pids.push(...(await answersTo("p")));
    assert.deepEqual(new Set(pids), new Set([clients[1]?.pids[0]]));
    const closing = pool.close();
    await assert.rejects(held, { code: "RUN_INTERRUPTED" });
    await closing;
  });

  it("finds the image that crashes one child, and disturbs no other", async () => {
    const [, second] = clients;
    const pid = second?.pids[0];
    // Images go to the children in turn: the first child gets the one that crashes.
    const answers = await answersTo("cooooooo");
    assert.deepEqual(answers, ["WORKER_CRASH", 7, 7, 7, 7, 7, 7, 7]);
    assert.deepEqual([second?.pids[0], second?.times().restarts], [pid, 0]);
    assert.ok(pool.times().restarts >= 1);
  });

  it("reports the largest of the batch sizes, and sums the times", async () => {
    assert.deepEqual([pool.report.engine, pool.report.batchSize], ["scripted", 8]);
    await answersTo("oooo");
    assert.deepEqual(pool.times(), { decodeMs: 4, inferMs: 8, batches: 4, images: 4, restarts: 0 });
  });

  it("rejects what a child has that cannot work at all", async () => {
    await assert.rejects(pool.predict(Buffer.from("x"), 1), { code: "ENGINE_FAILED" });
  });

  it("ends every child on close", async () => {
    const pids = clients.flatMap((client) => client.pids);
    await pool.close();
    assert.deepEqual(pids.map(isAlive), [false, false]);
  });
});
