import assert from "node:assert/strict";
import fc from "fast-check";
import { redactUrl } from "../../src/shared/redact-url.js";

describe("shared/redact-url", () => {
  it("shows where a server is, without user, password and parameters", () => {
    const shown = {
      "rediss://u:p@h:6379/0": "rediss://***@h:6379/0",
      "redis://h:6379": "redis://h:6379",
      "redis://u:p@ss@h:6379": "redis://***@h:6379",
      "redis://u:p/ss@h": "redis://***@h",
      "redis://u:p?ss@h": "redis://***",
      "redis://h?password=p": "redis://h?***",
      "redis://h?password=p@ss": "redis://***",
      "redis://u:p@h/1?tls=x": "redis://***@h/1?***",
      "u:p@h": "***@h",
      "/run/redis.sock": "/run/redis.sock",
      "unix:///run/redis.sock?password=p": "unix:///run/redis.sock?***",
    };
    for (const [url, expected] of Object.entries(shown)) assert.equal(redactUrl(url), expected, url);
  });

  it("shows no password, whatever is in it", () => {
    const password = fc.string({ minLength: 1 }).map((text) => `<${text}>`);
    fc.assert(
      fc.property(password, (secret) => {
        for (const url of [
          `redis://u:${secret}@h:1`,
          `redis://h:1?password=${secret}`,
          `unix:///s?password=${secret}`,
        ]) {
          assert.doesNotMatch(redactUrl(url), /[<>]/);
        }
      }),
    );
  });
});
