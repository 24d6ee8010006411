import assert from "node:assert/strict";
import { failure, LabelmillError, messageOf } from "../../src/shared/errors.js";

describe("shared/errors", () => {
  it("fills a run error's template and takes its exit code from the table", () => {
    const error = new LabelmillError("REDIS_POLICY", { url: "redis://h", policy: "allkeys-lru" });
    assert.match(error.message, /Redis at redis:\/\/h has maxmemory-policy allkeys-lru/);
    assert.equal(error.exitCode, 1);
    assert.equal(new LabelmillError("MODEL_UNKNOWN", { name: "x", known: "y" }).exitCode, 2);
    assert.equal(new LabelmillError("RUN_INTERRUPTED").exitCode, 130);
  });

  it("shows a detail that is missing by its name, not as undefined", () => {
    assert.equal(failure("FETCH_NOT_FOUND").message, "Nothing is at {uri}");
  });

  it("keeps a message on one line", () => {
    assert.equal(messageOf(new Error("first\n  second")), "first; second");
  });
});
