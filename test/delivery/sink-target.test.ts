import assert from "node:assert/strict";
import { parseSinkTarget } from "../../src/delivery/sink-target.js";
import { isCode } from "../../src/shared/errors.js";

const canary = "can4ry";
const parse = (url: string) => parseSinkTarget(url, "/home/me");

describe("delivery/sink-target", () => {
  it("reads the parts of a url, and leaves the password out of the name", () => {
    const target = parse(`postgres://me:${canary}%2F%40@db.example.com:5433/images?schema=mill`);
    const { user, password, host, port, database, parameters } = target;
    assert.deepEqual(
      { user, password, host, port, database, parameters },
      {
        user: "me",
        password: `${canary}/@`,
        host: "db.example.com",
        port: 5433,
        database: "images",
        parameters: { schema: "mill" },
      },
    );
    assert.equal(target.name, "postgres://me@db.example.com:5433/images?schema=mill");
  });

  it("gives one place one name, with a password and without", () => {
    assert.equal(parse(`redis://:${canary}@host/1?ttl=1h&prefix=a`).name, parse("redis://host/1?prefix=a&ttl=1h").name);
  });

  it("takes the directory of LanceDB absolute and relative, with odd names", () => {
    assert.equal(parse("lancedb:///data/la nce%20é").database, "/data/la nce é");
    assert.equal(parse("lancedb:./out@home").database, "/home/me/out@home");
  });

  const refused = [
    `postgres//me:${canary}@host/db`,
    `postgres://me:${canary}/x@host/db`,
    `postgres://me:${canary}?x@host/db`,
    `postgres://me:1${canary}#x@host/db`,
    `postgres://me:12?${canary}@host/db`,
    `postgres://host/db?password=${canary}`,
    `postgres://me:${canary}@host/`,
    `redis://:${canary}@host/seven`,
    `redis://host/0?ttl=${canary}`,
    `mysql://me:${canary}@host/db`,
    // What is left of a url in a list when its password has a comma.
    `postgres://me:${canary}`,
    `me:${canary}`,
    `postgres:me:${canary}`,
    `redis://:${canary}`,
    "lancedb://host/x",
    "lancedb:",
    "",
  ];
  for (const url of refused) {
    it(`refuses ${JSON.stringify(url.replaceAll(canary, "…"))} and shows no secret`, () => {
      assert.throws(
        () => parse(url),
        (error: unknown) => isCode(error, "SINK_INVALID") && !error.message.includes(canary),
      );
    });
  }
});
