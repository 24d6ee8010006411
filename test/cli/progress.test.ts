import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { createRateMeter, describeFailures, describeSeconds, openProgress } from "../../src/cli/progress.js";
import { fakeTerminal } from "../support/terminal.js";

const progress = (done: number, items: number | null) => ({ done, items, pinned: 0, failed: 0, failuresByCode: {} });

describe("cli/progress", () => {
  it("gives rate and time to the end over the last half minute", () => {
    let ms = 0;
    const meter = createRateMeter(() => ms);
    assert.deepEqual(meter(progress(0, 1000)), { perSecond: 0, etaSeconds: null });
    ms = 10_000;
    assert.deepEqual(meter(progress(100, 1000)), { perSecond: 10, etaSeconds: 90 });
    // Much faster from here on: the slow start leaves the window.
    for (ms = 20_000; ms <= 60_000; ms += 10_000) meter(progress(100 + (ms - 10_000) / 100, 1000));
    ms = 70_000;
    assert.deepEqual(meter(progress(700, 1000)), { perSecond: 10, etaSeconds: 30 });
  });

  it("knows no end while the source is still being read", () => {
    let ms = 0;
    const meter = createRateMeter(() => ms);
    meter(progress(0, null));
    ms = 1_000;
    assert.deepEqual(meter(progress(5, null)), { perSecond: 5, etaSeconds: null });
  });

  it("words durations and failures for people", () => {
    assert.deepEqual([12.4, 59.6, 200, 18_200].map(describeSeconds), ["12 s", "1 min 0 s", "3 min 20 s", "5 h 3 min"]);
    assert.equal(describeFailures({ B: 1, A: 1, C: 7 }), "C 7, A 1, B 1");
  });

  it("draws a bar with rate, time to the end and failures on a terminal; log lines stay whole", async () => {
    const { terminal, written } = fakeTerminal(200);
    const view = openProgress(terminal);
    view.update({ ...progress(0, 100) });
    await sleep(20);
    view.update({ ...progress(1, 100), failed: 1, failuresByCode: { DECODE_CORRUPT: 1 } });
    terminal.log.warn("a chunk went back");
    view.stop();
    const once = written();
    assert.match(once, /1\/100 items {2}[\d.]+\/s {2}ETA \d+ s {2}failed: DECODE_CORRUPT 1/);
    assert.match(once, /a chunk went back.*\n/);
    view.stop();
    assert.equal(written(), once, "stopping again draws nothing");
  });

  it("draws nothing before the first figures, so that other output has the line to itself", () => {
    const { terminal, written } = fakeTerminal(200);
    const view = openProgress(terminal);
    assert.equal(written(), "");
    terminal.log.info("fetching the weights");
    assert.match(written(), /fetching the weights\n$/);
    view.stop();
    view.update(progress(1, 2));
    assert.doesNotMatch(written(), /items/);
  });

  it("writes a plain line every five seconds, and not at every update, where nobody watches", () => {
    const { terminal, written } = fakeTerminal();
    const now = performance.now;
    let ms = 0;
    performance.now = () => ms;
    try {
      const view = openProgress(terminal);
      for (ms = 0; ms < 10_500; ms += 500) view.update(progress(ms / 100, ms < 7_000 ? null : 400));
      view.stop();
    } finally {
      performance.now = now;
    }
    const lines = written().trim().split("\n");
    assert.equal(lines.length, 2, written());
    assert.match(lines[0] ?? "", /info 50 of \? items .*"perSecond":10,"etaSeconds":null,"failed":0/);
    assert.match(lines[1] ?? "", /info 100 of 400 items .*"perSecond":10,"etaSeconds":30,"failed":0/);
  });
});
