import assert from "node:assert/strict";
import { unlessAborted } from "../../src/shared/unless-aborted.js";

describe("shared/unless-aborted", () => {
  it("settles as the task does, and listens no more", async () => {
    const { signal } = new AbortController();
    assert.equal(await unlessAborted(Promise.resolve(1), signal), 1);
    await assert.rejects(unlessAborted(Promise.reject(new Error("own")), signal), /own/);
  });

  it("rejects with the reason once the signal aborts, or where it has, and hands over what comes too late", async () => {
    const controller = new AbortController();
    let finish = (_: string) => {};
    const task = new Promise<string>((resolve) => {
      finish = resolve;
    });
    const late: string[] = [];
    const waiting = unlessAborted(task, controller.signal, (value) => void late.push(value));
    controller.abort(new Error("stop"));
    await assert.rejects(waiting, /stop/);
    await assert.rejects(unlessAborted(Promise.reject(new Error("own")), controller.signal), /stop/);
    finish("late");
    await task;
    assert.deepEqual(late, ["late"]);
  });
});
