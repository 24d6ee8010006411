import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, symlink, truncate, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { resolveOptions } from "../../../src/shared/options.js";
import { encodeMemberName, uriOfTarMember } from "../../../src/shared/tar-uri.js";
import { type OpenFetcher, openFetcher } from "../../../src/worker/fetch/open-fetcher.js";
import { tarOf } from "../../support/tar.js";
import { useTempDir } from "../../support/temp-dir.js";

const never = new AbortController().signal;
const http = { ...resolveOptions({}), allowPrivate: ["127.0.0.1"], fetchRetries: 0 };
const data = Buffer.from("not really an image");
const shard = tarOf([
  { name: "other.jpg", data: "other" },
  { name: "a b.jpg", data },
]);
const place = { name: encodeMemberName(Buffer.from("a b.jpg")), offset: 1536, length: data.length };
const limit = 2_000;

describe("worker/fetch/tar", () => {
  const tempDir = useTempDir();
  let fetcher: OpenFetcher;
  beforeEach(async () => {
    await mkdir(join(tempDir(), "root"));
    fetcher = await openFetcher({ allowRoots: [join(tempDir(), "root")], maxItemBytes: limit, http });
  });
  afterEach(() => fetcher.close());

  const localUri = (name: string, changed: object = {}) =>
    uriOfTarMember({ archive: `file://${tempDir()}/${name}`, ...place, ...changed });
  const fails = async (uri: string, code: string, message = /./) => {
    const outcome = await fetcher.fetch(uri, never);
    if (outcome.ok) assert.fail(`expected ${uri} to fail`);
    assert.equal(outcome.failure.code, code, outcome.failure.message);
    assert.match(outcome.failure.message, message);
  };

  it("gives the member's bytes and their digest, and of the rest of the shard nothing", async () => {
    await writeFile(join(tempDir(), "root/s.tar"), shard);
    const outcome = await fetcher.fetch(localUri("root/s.tar"), never);
    assert.ok(outcome.ok, JSON.stringify(outcome));
    assert.deepEqual(Buffer.from(outcome.value.bytes), data);
    assert.equal(outcome.value.sha256, createHash("sha256").update(data).digest("hex"));
  });

  it("holds a shard to the rules of files: below a root, no link out of it, a regular file, not too large", async () => {
    await writeFile(join(tempDir(), "outside.tar"), shard);
    await symlink("../outside.tar", join(tempDir(), "root/link.tar"));
    await mkdir(join(tempDir(), "root/d.tar"));
    await fails(localUri("outside.tar"), "POLICY_PATH");
    await fails(localUri("root/link.tar"), "POLICY_PATH");
    await fails(localUri("root/d.tar"), "POLICY_PATH", /a directory/);
    await fails(localUri("root/gone.tar"), "FETCH_NOT_FOUND");
    await fails(localUri("root/gone.tar", { length: limit + 1 }), "FETCH_TOO_LARGE");
    await fails("tar+file:///s.tar", "FETCH_UNSUPPORTED", /expected tar\+SHARD#member/);
    await fails("tar+ftp://h/s.tar#member=a&offset=512&length=1", "FETCH_UNSUPPORTED");
    await fails("tar+s3://b/s.tar#member=a&offset=512&length=1", "FETCH_UNSUPPORTED", /download the shard/);
  });

  it("fails where the shard has shrunk, or has something else at that place", async () => {
    const path = join(tempDir(), "root/s.tar");
    await writeFile(path, shard);
    for (const [changed, message] of [
      [{ length: 3 }, /the member there has 19 bytes/],
      [{ offset: 1024 }, /no header before its bytes/],
      [{ name: "b.jpg" }, /another member is there/],
    ] as const)
      await fails(localUri("root/s.tar", changed), "FETCH_CHANGED", message);
    await writeFile(
      path,
      tarOf([
        { name: "other.jpg", data: "other" },
        { name: "a b.jpg", type: "2" },
      ]),
    );
    await fails(localUri("root/s.tar", { length: 0 }), "FETCH_CHANGED", /something else than a file/);
    await truncate(path, 1_540);
    await fails(localUri("root/s.tar"), "FETCH_TRUNCATED", /the shard ends at byte 1540/);
    await truncate(path, 0);
    await fails(localUri("root/s.tar"), "FETCH_TRUNCATED", /ended after 0 bytes/);
  });

  describe("on a web server", () => {
    let respond: (request: IncomingMessage, response: ServerResponse) => void;
    let uri: string;
    let close: () => void;
    beforeEach(async () => {
      const server = createServer((request, response) => respond(request, response)).listen(0, "127.0.0.1");
      await once(server, "listening");
      uri = uriOfTarMember({ archive: `http://h.localhost:${(server.address() as AddressInfo).port}/s.tar`, ...place });
      close = () => {
        server.closeAllConnections();
        server.close();
      };
    });
    afterEach(() => close());
    const part = shard.subarray(1024, 1536 + data.length);
    const answer = (range: string, bytes: Buffer, headers = {}) => {
      respond = (_, response) => response.writeHead(206, { "content-range": range, ...headers }).end(bytes);
    };

    it("asks for the member and its header alone", async () => {
      const asked: unknown[] = [];
      respond = ({ headers }, response) => {
        asked.push(headers.range);
        response.writeHead(206, { "content-range": `bytes 1024-1554/${shard.length}`, etag: '"v1"' }).end(part);
      };
      const outcome = await fetcher.fetch(uri, never);
      assert.ok(outcome.ok, JSON.stringify(outcome));
      assert.deepEqual(Buffer.from(outcome.value.bytes), data);
      assert.deepEqual([outcome.value.etag, asked], ['"v1"', ["bytes=1024-1554"]]);
    });

    it("refuses a server that ignores the range, without reading what it sends", async () => {
      let sent = 0;
      respond = (_, response) => {
        const send = () => {
          while (!response.destroyed && response.write(Buffer.alloc(65_536))) sent += 65_536;
        };
        response.writeHead(200, { "content-length": 2 ** 30 }).on("drain", send);
        send();
      };
      await fails(uri, "FETCH_UNSUPPORTED", /ignores Range and would send the whole shard/);
      assert.ok(sent < 2 ** 26, `${sent} bytes were sent`);
    });

    it("asks again where less comes than was asked for, unless the shard ends there", async () => {
      const patient = await openFetcher({ allowRoots: [], maxItemBytes: limit, http: { ...http, fetchRetries: 1 } });
      let asked = 0;
      const answerShort = (range: string, isWholeThen: boolean) => {
        asked = 0;
        respond = (_, response) => {
          asked += 1;
          const isWhole = isWholeThen && asked > 1;
          response.writeHead(206, { "content-range": isWhole ? "bytes 1024-1554/9999" : range });
          response.end(isWhole ? part : part.subarray(0, 76));
        };
      };
      for (const range of ["bytes 1024-1554/9999", "bytes 1024-1099/9999", "bytes 1024-1099/*"]) {
        answerShort(range, true);
        assert.ok((await patient.fetch(uri, never)).ok, range);
        answerShort(range, false);
        const outcome = await patient.fetch(uri, never);
        assert.match(outcome.ok ? "ok" : outcome.failure.message, /ended after 76 bytes: it was asked for 531/);
        assert.equal(asked, 2);
      }
      answerShort("bytes 1024-1099/1100", true);
      const outcome = await patient.fetch(uri, never);
      assert.match(outcome.ok ? "ok" : outcome.failure.message, /ended after 76 bytes: its shard ends before/);
      assert.equal(asked, 1);
      await patient.close();
    });

    it("fails with a code for every other answer", async () => {
      answer("bytes 0-530/9999", part);
      await fails(uri, "FETCH_UNSUPPORTED", /another range \(bytes 0-530/);
      answer("bytes 1024-1554/9999", part, { "content-encoding": "gzip" });
      await fails(uri, "FETCH_UNSUPPORTED", /content encoding gzip/);
      answer("bytes 1024-1099/1100", part.subarray(0, 76));
      await fails(uri, "FETCH_TRUNCATED", /ended after 76 bytes: its shard ends before/);
      answer("bytes 1024-1554/9999", Buffer.alloc(part.length));
      await fails(uri, "FETCH_CHANGED");
      respond = (_, response) => response.writeHead(416).end();
      await fails(uri, "FETCH_TRUNCATED");
      respond = (_, response) => response.writeHead(404).end();
      await fails(uri, "FETCH_NOT_FOUND", /s\.tar#member=a%20b\.jpg/);
    });
  });
});
