import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { resolveOptions } from "../../../src/shared/options.js";
import { openRemoteFiles } from "../../../src/worker/fetch/open-remote-files.js";
import { collect } from "../../support/temp-dir.js";

const policy = { ...resolveOptions({}), allowPrivate: ["127.0.0.1"], fetchRetries: 1 };
const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));

describe("worker/fetch/http-stream", () => {
  let server: Server;
  let at: string;
  let asked: unknown[];
  let respond: (request: IncomingMessage, response: ServerResponse) => void;
  beforeEach(async () => {
    asked = [];
    server = createServer((request, response) => {
      asked.push(request.headers.range ?? "all");
      respond(request, response);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    at = `http://h.localhost:${(server.address() as AddressInfo).port}/s.tar`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  const read = async (start: { offset: number; needsRanges: boolean }, uri = at) => {
    const { size, blocks } = await openRemoteFiles({ http: policy, signal: new AbortController().signal }).read(
      uri,
      start,
    );
    return { size, bytes: Buffer.concat(await collect(blocks)) };
  };
  const offsetOf = (request: IncomingMessage) => Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const ranges = (request: IncomingMessage, response: ServerResponse, etag = '"v1"') => {
    const offset = offsetOf(request);
    const range = `bytes ${offset}-${bytes.length - 1}/${bytes.length}`;
    return response.writeHead(206, { "content-range": range, "content-length": bytes.length - offset, etag });
  };
  const rejects = (start: { offset: number; needsRanges: boolean }, message: RegExp, uri = at) =>
    assert.rejects(read(start, uri), { code: "RUN_SOURCE_UNREADABLE", message });

  it("gives the bytes from an offset on, and the size of the whole", async () => {
    respond = (request, response) => ranges(request, response).end(bytes.subarray(offsetOf(request)));
    const found = await read({ offset: 1_000, needsRanges: true });
    assert.deepEqual([found.size, found.bytes.equals(bytes.subarray(1_000))], [bytes.length, true]);
  });

  it("skips to the offset where the server knows no ranges, unless ranges are needed", async () => {
    respond = (_, response) => response.writeHead(200, { "content-length": bytes.length }).end(bytes);
    assert.ok((await read({ offset: 0, needsRanges: false })).bytes.equals(bytes));
    assert.ok((await read({ offset: 123_456, needsRanges: false })).bytes.equals(bytes.subarray(123_456)));
    await rejects({ offset: 0, needsRanges: true }, /ignores Range.*download it, and name the file/);
    assert.deepEqual(asked, ["all", "bytes=123456-", "bytes=0-"]);
  });

  it("goes on where a connection broke off", async () => {
    respond = (request, response) => {
      const offset = offsetOf(request);
      ranges(request, response);
      if (offset > 200_000) response.end(bytes.subarray(offset));
      else response.write(bytes.subarray(offset, offset + 100_000), () => request.socket.destroy());
    };
    const found = await read({ offset: 0, needsRanges: true });
    assert.ok(found.bytes.equals(bytes));
    assert.ok(asked.length >= 3, String(asked));
  });

  it("ends at a server that breaks off again and again and gives next to nothing", async () => {
    respond = (request, response) => {
      const offset = offsetOf(request);
      ranges(request, response).write(bytes.subarray(offset, offset + 1), () => request.socket.destroy());
    };
    await rejects({ offset: 0, needsRanges: true }, /./);
    assert.deepEqual(asked, ["bytes=0-", "bytes=1-"]);
  });

  it("asks for the rest where less comes than was asked for, with or without an error", async () => {
    respond = (request, response) => {
      const offset = offsetOf(request);
      const end = Math.min(bytes.length, offset + 120_000);
      const range = `bytes ${offset}-${end - 1}/${bytes.length}`;
      response.writeHead(206, { "content-range": range, etag: '"v1"' }).end(bytes.subarray(offset, end));
    };
    const found = await read({ offset: 0, needsRanges: true });
    assert.ok(found.bytes.equals(bytes));
    assert.deepEqual(asked, ["bytes=0-", "bytes=120000-", "bytes=240000-"]);
  });

  it("goes on in a file whose size it learns only then", async () => {
    respond = (request, response) => {
      if (offsetOf(request) > 0) return ranges(request, response).end(bytes.subarray(offsetOf(request)));
      response.writeHead(200, { etag: '"v1"' });
      return response.write(bytes.subarray(0, 100_000), () => request.socket.destroy());
    };
    assert.ok((await read({ offset: 0, needsRanges: false })).bytes.equals(bytes));
  });

  it("gives nothing behind the last byte, and refuses other ranges that are not there", async () => {
    respond = (_, response) => response.writeHead(416, { "content-range": "bytes */300000" }).end();
    assert.deepEqual(await read({ offset: 300_000, needsRanges: true }), { size: 300_000, bytes: Buffer.alloc(0) });
    await rejects({ offset: 10, needsRanges: true }, /no such range/);
  });

  it("does not join two versions of a file", async () => {
    respond = (request, response) => {
      ranges(request, response, `"${asked.length}"`);
      response.write(bytes.subarray(0, 1_000), () => request.socket.destroy());
    };
    await rejects({ offset: 0, needsRanges: true }, /it changed while it was read/);
  });

  it("tries again what may help, and says what does not", async () => {
    respond = (_, response) => response.writeHead(asked.length === 1 ? 503 : 200).end("x");
    assert.equal((await read({ offset: 0, needsRanges: false })).bytes.toString(), "x");
    respond = (_, response) => response.writeHead(404).end();
    await rejects({ offset: 0, needsRanges: false }, /answered with status 404/);
    respond = (_, response) => response.writeHead(200, { "content-encoding": "br" }).end("x");
    await rejects({ offset: 0, needsRanges: false }, /content encoding `br` is not known/);
    respond = (_, response) => response.writeHead(302, { location: "http://10.0.0.1/" }).end();
    await rejects({ offset: 0, needsRanges: false }, /10\.0\.0\.1 is a private address/);
    respond = (_, response) => response.writeHead(302, { location: at }).end();
    await rejects({ offset: 0, needsRanges: false }, /more than 5 redirects/);
    await rejects({ offset: 0, needsRanges: false }, /link-local/, "http://169.254.169.254/s.tar");
  });

  it("waits no longer for a head than for a whole image, whatever comes before it", async () => {
    respond = (_, response) => {
      const timer = setInterval(() => response.writeEarlyHints({ link: "</a>; rel=preload" }), 20);
      response.on("close", () => clearInterval(timer));
    };
    const http = { ...policy, fetchRetries: 0, fetchTimeoutMs: 300 };
    const files = openRemoteFiles({ http, signal: new AbortController().signal });
    await assert.rejects(files.read(at, { offset: 0, needsRanges: false }), {
      code: "RUN_SOURCE_UNREADABLE",
      message: /no answer within --fetch-timeout-ms/,
    });
  });

  it("ends its connection when it is left, and when it is interrupted", async () => {
    respond = (request, response) => ranges(request, response).write(bytes.subarray(0, 1_000));
    const controller = new AbortController();
    const files = openRemoteFiles({ http: policy, signal: controller.signal });
    const left = await files.read(at, { offset: 0, needsRanges: true });
    for await (const _ of left.blocks) break;
    const { blocks } = await files.read(at, { offset: 0, needsRanges: true });
    const reading = collect(blocks);
    controller.abort(new Error("enough"));
    await assert.rejects(reading, /enough/);
    const connections = () => new Promise<number>((resolve) => server.getConnections((_, n) => resolve(n)));
    while ((await connections()) > 0) await new Promise(setImmediate);
  });
});
