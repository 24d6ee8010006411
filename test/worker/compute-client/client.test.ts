import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { LabelmillError } from "../../../src/shared/errors.js";
import type { ComputeSettings, Prediction } from "../../../src/worker/compute/protocol.js";
import {
  type ClientTiming,
  type ComputeClient,
  createComputeClient,
} from "../../../src/worker/compute-client/client.js";
import type { Outcome } from "../../../src/worker/outcome.js";
import { childSettings } from "../../support/compute-settings.js";

const timing: ClientTiming = { startTimeoutMs: 30_000, silenceMarginMs: 500, imageMarginMs: 0, backoffMs: 10 };

describe("worker/compute-client/client", function () {
  this.timeout(60_000);
  let client: ComputeClient | undefined;
  let log: string[];

  beforeEach(() => {
    log = [];
  });
  afterEach(() => client?.close());

  /** `how` the first child starts, and each one after it; the last word is for all that follow. */
  async function open(
    how: string | readonly string[] = "works",
    changed: Partial<ClientTiming> = {},
    asked: Partial<ComputeSettings> = {},
    signal?: AbortSignal,
  ): Promise<ComputeClient> {
    const entry = fileURLToPath(new URL("./scripted-child.js", import.meta.url));
    const [...left] = [how].flat();
    const spawnChild = () =>
      fork(entry, [left.length > 1 ? (left.shift() ?? "") : (left[0] ?? "")], {
        serialization: "advanced",
        stdio: ["ignore", "ignore", "pipe", "ipc"],
      });
    client = await createComputeClient(
      spawnChild,
      { ...childSettings, ...asked },
      {
        log: { warn: (message) => log.push(message) },
        timing: { ...timing, ...changed },
        signal,
      },
    );
    return client;
  }

  /** Sends one image for each letter, all at once; gives `ok` or the code of each. */
  async function codesOf(opened: ComputeClient, letters: string): Promise<string[]> {
    const outcomes = await Promise.all([...letters].map((letter) => opened.predict(Buffer.from(letter), 5)));
    return outcomes.map((outcome: Outcome<Prediction>) => (outcome.ok ? "ok" : outcome.failure.code));
  }

  it("answers with predictions and failures, and sums the times", async () => {
    const opened = await open();
    assert.equal(opened.report.engine, "scripted");
    const outcome = await opened.predict(Buffer.from("o"), 5);
    assert.ok(outcome.ok);
    assert.deepEqual([...outcome.value.embedding], [1, 2]);
    assert.deepEqual(await codesOf(opened, "fo"), ["DECODE_CORRUPT", "ok"]);
    assert.deepEqual(opened.times(), { decodeMs: 3, inferMs: 6, batches: 3, images: 3, restarts: 0 });
  });

  it("finds the image that crashes the child, and does all others", async () => {
    const opened = await open();
    const expected = [..."ooooocoooooooooooooo"].map((letter) => (letter === "c" ? "WORKER_CRASH" : "ok"));
    assert.deepEqual(await codesOf(opened, "ooooocoooooooooooooo"), expected);
    assert.equal(opened.times().restarts, 3);
    assert.match(log.join("\n"), /ended: it was ended by SIGSEGV/);
  });

  it("finds several of them, also side by side and with nothing else", async () => {
    const opened = await open();
    const crash = "WORKER_CRASH";
    assert.deepEqual(await codesOf(opened, "ccoco"), [crash, crash, "ok", crash, "ok"]);
    assert.deepEqual(await codesOf(opened, "c"), [crash]);
    assert.deepEqual(await codesOf(opened, "o"), ["ok"]);
  });

  it("blames no image for a child that is killed from outside", async () => {
    const opened = await open();
    const codes = codesOf(opened, "oooooooooo");
    process.kill(opened.pids[0] ?? 0, "SIGKILL");
    assert.deepEqual(new Set(await codes), new Set(["ok"]));
    assert.equal(opened.times().restarts, 1);
  });

  it("starts another child when one ends with nothing to do", async () => {
    const opened = await open();
    const [first] = opened.pids;
    process.kill(first ?? 0, "SIGKILL");
    while (opened.pids[0] === first || opened.pids.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(await codesOf(opened, "o"), ["ok"]);
  });

  /** What the child was told of its batch size; -1 for no number. */
  async function batchSizeTold(opened: ComputeClient): Promise<number | undefined> {
    const outcome = await opened.predict(Buffer.from("b"), 1);
    return outcome.ok ? outcome.value.topIndices[0] : undefined;
  }

  it("lets a child measure its batch size once, and tells the next child what it was", async () => {
    const opened = await open("works", {}, { batchSize: "auto" });
    assert.equal(opened.report.batchSize, 3);
    assert.equal(await batchSizeTold(opened), -1);
    assert.deepEqual(await codesOf(opened, "c"), ["WORKER_CRASH"]);
    assert.equal(await batchSizeTold(opened), 3);
  });

  it("says that memory has lowered the batch size, and tells the next child", async () => {
    const opened = await open();
    assert.deepEqual(await codesOf(opened, "ol"), ["ok", "ok"]);
    assert.match(log.join("\n"), /ran out of memory: told to/);
    assert.deepEqual(await codesOf(opened, "c"), ["WORKER_CRASH"]);
    assert.equal(await batchSizeTold(opened), 2);
  });

  it("kills the child over an overdue image, and does the others again", async () => {
    const opened = await open();
    assert.deepEqual(await codesOf(opened, "oosoo"), ["ok", "ok", "LIMIT_TIME", "ok", "ok"]);
    assert.equal(opened.times().restarts, 1);
  });

  it("kills a child that no longer says anything, and finds the image that silenced it", async () => {
    const opened = await open();
    assert.deepEqual(await codesOf(opened, "ohoo"), ["ok", "LIMIT_TIME", "ok", "ok"]);
    assert.match(log.join("\n"), /no longer answered/);
  });

  it("lets a child be silent for as long as its engine is slow", async () => {
    const opened = await open(["works slowly", "works"]);
    assert.deepEqual(await codesOf(opened, "w"), ["ok"]);
    assert.equal(opened.times().restarts, 0);
  });

  it("kills a child of a slow engine, too, that says nothing any more", async () => {
    const opened = await open(["works slowly", "works"], {}, { batchSize: 1 });
    assert.deepEqual(await codesOf(opened, "oh"), ["ok", "LIMIT_TIME"]);
    assert.match(log.join("\n"), /no longer answered/);
  });

  it("rejects everything when the child says that it cannot work", async () => {
    const opened = await open();
    const waiting = await Promise.allSettled([..."oxo"].map((letter) => opened.predict(Buffer.from(letter), 5)));
    assert.ok(waiting.some(({ status }) => status === "rejected"));
    await assert.rejects(opened.predict(Buffer.from("o"), 5), { code: "ENGINE_FAILED", message: /told to$/ });
  });

  for (const [how, what] of [
    ["works elsewhere", "scripted/cpu (not known to be on a GPU, embeddings of 2)"],
    ["works narrowly", "scripted (not known to be on a GPU, embeddings of 1)"],
  ] as const) {
    it(`rejects everything when a later child ${how}: its rows would not be what was reported`, async () => {
      const opened = await open(["works", how]);
      await assert.rejects(codesOf(opened, "co"), {
        code: "ENGINE_FAILED",
        message: `The compute process cannot work: started again, it runs as ${what}, and not as scripted (not known to be on a GPU, embeddings of 2) as before`,
      });
      await assert.rejects(opened.predict(Buffer.from("o"), 5), { code: "ENGINE_FAILED" });
    });
  }

  it("refuses to start with a child that says why it cannot", async () => {
    await assert.rejects(open("fatal"), { code: "MODEL_CORRUPT", message: "The cached model m is damaged" });
  });

  it("gives up on children that die before they are ready, with their last words", async () => {
    await assert.rejects(open("dies"), (error: unknown) => {
      assert.ok(error instanceof LabelmillError);
      assert.equal(error.code, "ENGINE_FAILED");
      assert.match(error.message, /exited with code 3; it last said: cannot find my engine/);
      return true;
    });
  });

  it("gives up on children that are never ready", async () => {
    await assert.rejects(open("never", { startTimeoutMs: 100 }), {
      code: "ENGINE_FAILED",
      message: /not ready after 100 ms/,
    });
  });

  it("ends while it starts where its signal aborts", async () => {
    const controller = new AbortController();
    const opening = open("never", {}, {}, controller.signal);
    controller.abort();
    await assert.rejects(opening, { code: "RUN_INTERRUPTED" });
  });

  it("does not begin where its signal has aborted before", async () => {
    await assert.rejects(open("never", {}, {}, AbortSignal.abort()), { code: "RUN_INTERRUPTED" });
  });

  it("ends its child on close, rejects what waits, and takes nothing more", async () => {
    const opened = await open();
    const pid = opened.pids[0] ?? 0;
    const waiting = opened.predict(Buffer.from("h"), 5);
    await Promise.all([opened.close(), assert.rejects(waiting, { code: "RUN_INTERRUPTED" })]);
    assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
    await assert.rejects(opened.predict(Buffer.from("o"), 5), { code: "RUN_INTERRUPTED" });
    await opened.close();
  });
});
