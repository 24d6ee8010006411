/** What may be wrong with a body, or look wrong and be right. */
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import type { Fault, Visit } from "./fault.js";

/** Compressed a thousandfold, once: Brotli at its usual quality takes seconds, in which the origin would say nothing. */
const bomb = Buffer.alloc(64 * 2 ** 20);
const quick = (bytes: Buffer) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } });
const gzipBomb = gzipSync(bomb, { level: 1 });
const brotliBomb = quick(bomb);

const send =
  (body: (image: Buffer) => Buffer | string, headers: Readonly<Record<string, string>> = {}) =>
  ({ response, image }: Visit) =>
    response.writeHead(200, headers).end(body(image));

/** Head and body as they are, then `after`. */
const raw =
  (head: readonly string[], body: (image: Buffer) => Buffer | string, after: (visit: Visit) => void = () => {}) =>
  (visit: Visit) => {
    visit.socket.write(`${["HTTP/1.1 200 OK", ...head].join("\r\n")}\r\n\r\n`);
    visit.socket.write(body(visit.image));
    after(visit);
  };

const close = ({ socket }: Visit) => socket.end();
const half = (image: Buffer) => image.subarray(0, image.length / 2);

/** Writes `block` again and again until the other side goes away. */
const repeat =
  (block: Buffer, everyMs: number) =>
  ({ socket }: Visit) => {
    const timer = setInterval(() => socket.write(block), everyMs);
    socket.on("close", () => clearInterval(timer));
  };

const firstShortThenWhole = ({ response, socket, image, number }: Visit) => {
  if (number > 1) return response.end(image);
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${image.length}\r\n\r\n`);
  return socket.end(half(image));
};

export const bodyFaults: readonly Fault[] = [
  { name: "image", what: "the image", code: "ok", serve: send((image) => image) },
  {
    name: "image-as-html",
    what: "the image, called `text/html`",
    code: "ok",
    serve: send((image) => image, { "content-type": "text/html" }),
  },
  { name: "image-gzip", what: "the image in gzip", code: "ok", serve: send(gzipSync, { "content-encoding": "gzip" }) },
  {
    name: "image-br",
    what: "the image in Brotli",
    code: "ok",
    serve: send(quick, { "content-encoding": "br" }),
  },
  {
    name: "no-length",
    what: "a body that ends with its connection",
    code: "ok",
    serve: raw([], (image) => image, close),
  },
  {
    name: "early-hints",
    what: "103, then the image",
    code: "ok",
    serve: (visit) => {
      visit.socket.write("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
      visit.response.end(visit.image);
    },
  },
  {
    name: "robots-noai",
    what: "the image, with `X-Robots-Tag: noai` (`--respect-robots-tag`)",
    code: "POLICY_ROBOTS",
    serve: send((image) => image, { "x-robots-tag": "noai, noimageai" }),
  },
  {
    name: "robots-other",
    what: "the image, with `X-Robots-Tag: otherbot: noindex` (`--respect-robots-tag`)",
    code: "ok",
    serve: send((image) => image, { "x-robots-tag": "otherbot: noindex" }),
  },
  {
    name: "html",
    what: "a page of HTML called `image/jpeg`",
    code: "DECODE_UNSUPPORTED",
    serve: send(() => "<!doctype html><p>Sorry", { "content-type": "image/jpeg" }),
  },
  { name: "empty", what: "an empty body", code: "DECODE_TRUNCATED", serve: send(() => "") },
  { name: "half-image", what: "half of the image, as if it were whole", code: "DECODE_TRUNCATED", serve: send(half) },
  {
    name: "short-length",
    what: "a `Content-Length` of half the body",
    code: "DECODE_TRUNCATED",
    serve: (visit) => raw([`Content-Length: ${(visit.image.length / 2) | 0}`], (image) => image, close)(visit),
  },
  {
    name: "long-length",
    what: "a body that is shorter than its `Content-Length`",
    code: "FETCH_TRUNCATED",
    serve: (visit) => raw([`Content-Length: ${visit.image.length}`], half, close)(visit),
  },
  { name: "once-short", what: "a short body once, then the image", code: "ok", serve: firstShortThenWhole },
  {
    name: "huge-length",
    what: "a `Content-Length` of 1 TB",
    code: "FETCH_TOO_LARGE",
    serve: raw(["Content-Length: 1000000000000"], () => ""),
  },
  {
    name: "endless-body",
    what: "a body without end",
    code: "FETCH_TOO_LARGE",
    serve: raw([], () => "", repeat(Buffer.alloc(2 ** 16), 5)),
  },
  {
    name: "drip-body",
    what: "a byte of body every 100 ms, without end",
    code: "FETCH_TIMEOUT",
    serve: raw([], () => "", repeat(Buffer.alloc(1), 100)),
  },
  {
    name: "stalled-body",
    what: "half a body, then silence",
    code: "FETCH_TIMEOUT",
    serve: raw(["Content-Length: 1000"], () => "x".repeat(500)),
  },
  {
    name: "reset-body",
    what: "half a body, then a reset",
    code: "FETCH_TRUNCATED",
    serve: raw(
      ["Content-Length: 1000"],
      () => "x".repeat(500),
      ({ socket }) => setTimeout(() => socket.resetAndDestroy(), 50),
    ),
  },
  {
    name: "cut-chunks",
    what: "a chunked body that is cut off",
    code: "FETCH_TRUNCATED",
    serve: raw(["Transfer-Encoding: chunked"], () => "5\r\nhello\r\n", close),
  },
  {
    name: "broken-chunks",
    what: "a chunk whose size is no number",
    code: "FETCH_FAILED",
    serve: raw(["Transfer-Encoding: chunked"], () => "zz\r\nhello\r\n", close),
  },
  {
    name: "gzip-bomb",
    what: "64 MiB of zeros in 300 kB of gzip",
    code: "FETCH_TOO_LARGE",
    serve: send(() => gzipBomb, { "content-encoding": "gzip" }),
  },
  {
    name: "br-bomb",
    what: "64 MiB of zeros in Brotli",
    code: "FETCH_TOO_LARGE",
    serve: send(() => brotliBomb, { "content-encoding": "br" }),
  },
  {
    name: "gzip-twice",
    what: "two content encodings, one in the other",
    code: "FETCH_UNSUPPORTED",
    serve: send((image) => gzipSync(gzipSync(image)), { "content-encoding": "gzip, gzip" }),
  },
  {
    name: "zstd",
    what: "a content encoding that is not known",
    code: "FETCH_UNSUPPORTED",
    serve: send((image) => image, { "content-encoding": "zstd" }),
  },
  {
    name: "cut-gzip",
    what: "gzip that is cut off",
    code: "FETCH_TRUNCATED",
    serve: send((image) => half(gzipSync(image)), { "content-encoding": "gzip" }),
  },
  {
    name: "not-gzip",
    what: "the image, called gzip",
    code: "FETCH_FAILED",
    serve: send((image) => image, { "content-encoding": "gzip" }),
  },
];
