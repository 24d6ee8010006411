import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { resolveOptions } from "../../../src/shared/options.js";
import { openFetcher } from "../../../src/worker/fetch/open-fetcher.js";

const http = resolveOptions({});

describe("worker/fetch/open-fetcher", () => {
  it("answers FETCH_UNSUPPORTED for schemes that it does not know", async () => {
    const fetcher = await openFetcher({ allowRoots: [tmpdir()], maxItemBytes: 1000, http });
    for (const uri of [
      "ftp://example.org/a.jpg",
      "s3://bucket/key",
      "relative/a.jpg",
      "",
      "file://host/a.jpg",
      "file:a.jpg",
    ]) {
      const outcome = await fetcher.fetch(uri, new AbortController().signal);
      assert.ok(!outcome.ok, uri);
      assert.equal(outcome.failure.code, "FETCH_UNSUPPORTED", uri);
    }
  });

  it("refuses to open with a root that does not exist", async () => {
    await assert.rejects(openFetcher({ allowRoots: ["/no/such/root"], maxItemBytes: 1000, http }), {
      code: "OPTION_INVALID",
      message: /\/no\/such\/root/,
    });
  });

  it("asks web servers by the policy, and shows no credentials of what it refuses", async () => {
    const fetcher = await openFetcher({ allowRoots: [], maxItemBytes: 1000, http });
    const signal = new AbortController().signal;
    for (const uri of ["https://10.0.0.1/a?token=hunter2", "HTTP://u:hunter2@[::1]/", "ftp://u:hunter2@h/a"]) {
      const outcome = await fetcher.fetch(uri, signal);
      assert.ok(!outcome.ok, uri);
      assert.equal(outcome.failure.code, uri.startsWith("ftp") ? "FETCH_UNSUPPORTED" : "FETCH_BLOCKED");
      assert.ok(!outcome.failure.message.includes("hunter2"), outcome.failure.message);
    }
    await fetcher.close();
  });
});
