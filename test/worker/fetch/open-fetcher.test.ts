import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { openFetcher } from "../../../src/worker/fetch/open-fetcher.js";

describe("worker/fetch/open-fetcher", () => {
  it("answers FETCH_UNSUPPORTED for schemes that it does not know", async () => {
    const fetcher = await openFetcher({ allowRoots: [tmpdir()], maxItemBytes: 1000 });
    for (const uri of [
      "https://example.org/a.jpg",
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
    await assert.rejects(openFetcher({ allowRoots: ["/no/such/root"], maxItemBytes: 1000 }), {
      code: "OPTION_INVALID",
      message: /\/no\/such\/root/,
    });
  });
});
