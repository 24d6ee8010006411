import assert from "node:assert/strict";
import { createDeadHosts, deadHostSettings } from "../../../src/worker/fetch/dead-hosts.js";

const settings = { tries: 3, windowMs: 1_000, restMs: 500 };

describe("worker/fetch/dead-hosts", () => {
  const fail = (hosts: ReturnType<typeof createDeadHosts>, ...times: number[]) => {
    for (const time of times) hosts.failed("a", "FETCH_TIMEOUT", time);
  };

  it("gives a host up after so many failures in a row over so long, and no other", () => {
    const hosts = createDeadHosts(settings);
    fail(hosts, 0, 10, 20, 999);
    assert.equal(hosts.refusal("a", 999), null, "many failures in a short time are a blip");
    fail(hosts, 1_000);
    assert.deepEqual(hosts.refusal("a", 1_100), {
      code: "FETCH_TIMEOUT",
      reason: "its host has answered none of 5 tries in 2 s; it is given up for 1 s",
    });
    assert.equal(hosts.refusal("b", 1_100), null);
    const few = createDeadHosts(settings);
    fail(few, 0, 5_000);
    assert.equal(few.refusal("a", 5_000), null, "two failures far apart are not enough");
  });

  it("takes failures that are far apart for different troubles", () => {
    const hosts = createDeadHosts(settings);
    fail(hosts, 0, 10, 50_000);
    assert.equal(hosts.refusal("a", 50_000), null);
    fail(hosts, 50_500, 51_000);
    assert.notEqual(hosts.refusal("a", 51_001), null);
  });

  it("begins anew with any answer", () => {
    const hosts = createDeadHosts(settings);
    fail(hosts, 0, 500);
    hosts.answered("a");
    fail(hosts, 600, 1_000, 1_500);
    assert.equal(hosts.refusal("a", 1_500), null);
  });

  it("lets one through after the rest: an answer ends it, a failure is another rest", () => {
    const hosts = createDeadHosts(settings);
    fail(hosts, 0, 10, 1_000);
    const isRefused = (time: number) => hosts.refusal("a", time) !== null;
    assert.deepEqual([1_499, 1_500, 1_501].map(isRefused), [true, false, true]);
    fail(hosts, 1_600);
    assert.deepEqual([2_099, 2_100, 2_101].map(isRefused), [true, false, true]);
    hosts.answered("a");
    assert.equal(isRefused(2_102), false);
  });

  it("gives no host up sooner than an item's own tries may take", () => {
    const policy = { fetchRetries: 2, connectTimeoutMs: 10_000, headersTimeoutMs: 30_000 };
    assert.equal(deadHostSettings(policy).windowMs, 120_000);
    assert.equal(deadHostSettings({ ...policy, fetchRetries: 0, headersTimeoutMs: 100 }).windowMs, 60_000);
  });
});
