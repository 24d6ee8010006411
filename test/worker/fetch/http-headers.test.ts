import assert from "node:assert/strict";
import { conditionOf, httpDate, retryAfterMs, robotsRefusal } from "../../../src/worker/fetch/http-headers.js";

const now = Date.UTC(1994, 10, 6, 8, 49, 7);

describe("worker/fetch/http-headers", () => {
  it("reads the three forms of a date as UTC, and nothing else as a date", () => {
    for (const text of ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])
      assert.equal(httpDate(text)?.toISOString(), "1994-11-06T08:49:37.000Z", text);
    const wrong = ["", "0", "soon", "1994", "Sun, 99 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 275759 08:49:37 GMT"];
    for (const text of [undefined, ...wrong]) assert.equal(httpDate(text), null, text);
  });

  it("finds what asks everybody, or labelmill, not to use an answer", () => {
    const asking = [
      ["noai"],
      ["all", "max-snippet: 20, NoIndex"],
      ["labelmill: none"],
      ["*: noimageai"],
      ["nofollow,noindex"],
    ];
    const others = [[], ["all"], ["googlebot: noindex"], ["otherbot: noindex, nofollow", "nofollow"], ["noarchive"]];
    assert.deepEqual(asking.map(robotsRefusal), ["noai", "noindex", "none", "noimageai", "noindex"]);
    assert.deepEqual(
      others.map(robotsRefusal),
      others.map(() => null),
    );
  });

  it("asks for bytes unless they are the known ones, by their tag or else by their time", () => {
    const modifiedAt = new Date("1994-11-06T08:49:37Z");
    const since = { "if-modified-since": "Sun, 06 Nov 1994 08:49:37 GMT" };
    assert.deepEqual(conditionOf({ etag: 'W/"v1"', modifiedAt }), { "if-none-match": 'W/"v1"' });
    for (const etag of [null, "v1", '"a", "b"', '"a\r\nx: y"', '"é"'])
      assert.deepEqual(conditionOf({ etag, modifiedAt }), since);
    assert.deepEqual(conditionOf({ etag: null, modifiedAt: null }), {});
  });

  it("reads how long to wait in seconds or until a date", () => {
    assert.equal(retryAfterMs("120", now), 120_000);
    assert.equal(retryAfterMs("Sun, 06 Nov 1994 08:49:37 GMT", now), 30_000);
    assert.equal(retryAfterMs("Sun, 06 Nov 1994 08:49:00 GMT", now), 0);
    for (const text of [undefined, "", "-1", "1.5", "soon"]) assert.equal(retryAfterMs(text, now), null, text);
  });
});
