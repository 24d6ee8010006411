import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { uriOfPath } from "../../../src/shared/file-uri.js";
import { resolveOptions } from "../../../src/shared/options.js";
import type { FetchedBytes, Fetcher } from "../../../src/worker/fetch/fetcher.js";
import { openFetcher } from "../../../src/worker/fetch/open-fetcher.js";
import type { Outcome } from "../../../src/worker/outcome.js";

const limit = 1000;
const never = new AbortController().signal;

const http = resolveOptions({});

describe("worker/fetch/file", () => {
  let base: string;
  let root: string;
  let fetcher: Fetcher;
  const at = (name: string): string => join(root, name);
  const fetch = (uri: string): Promise<Outcome<FetchedBytes>> => fetcher.fetch(uri, never);

  beforeEach(async () => {
    base = realpathSync(mkdtempSync(join(tmpdir(), "labelmill-fetch-")));
    root = join(base, "root");
    mkdirSync(root);
    writeFileSync(join(base, "secret.jpg"), "outside");
    fetcher = await openFetcher({ allowRoots: [root], maxItemBytes: limit, http });
  });

  afterEach(() => rmSync(base, { recursive: true, force: true }));

  async function assertCode(uri: string, code: string, wording = /./): Promise<void> {
    const outcome = await fetch(uri);
    assert.ok(!outcome.ok, `expected ${uri} to be refused`);
    assert.equal(outcome.failure.code, code);
    assert.match(outcome.failure.message, wording);
    assert.ok(!outcome.failure.message.includes("\n"));
  }

  it("gives the bytes, their digest and the time of change", async () => {
    const bytes = Buffer.from("not really an image");
    writeFileSync(at("a.jpg"), bytes);
    utimesSync(at("a.jpg"), 1_600_000_000, 1_600_000_000);
    const outcome = await fetch(at("a.jpg"));
    assert.ok(outcome.ok);
    assert.deepEqual(Buffer.from(outcome.value.bytes), bytes);
    assert.equal(outcome.value.sha256, createHash("sha256").update(bytes).digest("hex"));
    assert.equal(outcome.value.etag, null);
    assert.deepEqual(outcome.value.modifiedAt, new Date(1_600_000_000_000));
  });

  it("reads names that are not UTF-8, and names with spaces and percent signs", async () => {
    const odd = Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x62, 0xff, 0xe9, 0x20, 0x25])]);
    writeFileSync(odd, "odd");
    writeFileSync(at("a b%20.jpg"), "plain");
    const uri = uriOfPath(odd);
    assert.match(uri, /^file:\/\//);
    for (const [name, content] of [
      [uri, "odd"],
      [at("a b%20.jpg"), "plain"],
    ] as const) {
      const outcome = await fetch(name);
      assert.ok(outcome.ok, name);
      assert.equal(Buffer.from(outcome.value.bytes).toString(), content);
    }
  });

  it("gives no bytes for an empty file, and all of one exactly at the limit", async () => {
    writeFileSync(at("empty"), "");
    writeFileSync(at("full"), Buffer.alloc(limit, 7));
    for (const [name, length] of [
      ["empty", 0],
      ["full", limit],
    ] as const) {
      const outcome = await fetch(at(name));
      assert.ok(outcome.ok, name);
      assert.equal(outcome.value.bytes.length, length);
    }
  });

  it("refuses a file over the limit, also a sparse one, without reading it", async () => {
    writeFileSync(at("large"), Buffer.alloc(limit + 1));
    execFileSync("truncate", ["-s", "1T", at("sparse")]);
    await assertCode(at("large"), "FETCH_TOO_LARGE", /1001 bytes/);
    await assertCode(at("sparse"), "FETCH_TOO_LARGE");
  });

  it("stops at the limit when the file grows while it is read", async () => {
    const large = await openFetcher({ allowRoots: [root], maxItemBytes: 200_000, http });
    writeFileSync(at("growing"), Buffer.alloc(190_000));
    const fetched = large.fetch(at("growing"), never);
    for (let round = 0; round < 50; round += 1) {
      appendFileSync(at("growing"), Buffer.alloc(4_000));
      await new Promise(setImmediate);
    }
    const outcome = await fetched;
    if (outcome.ok) assert.ok(outcome.value.bytes.length <= 200_000);
    else assert.equal(outcome.failure.code, "FETCH_TOO_LARGE");
  });

  it("reads to the end what reports no size, as files of /proc do", async function () {
    const proc = await openFetcher({ allowRoots: ["/proc"], maxItemBytes: 1_000_000, http }).catch(() => null);
    if (proc === null) return this.skip();
    const outcome = await proc.fetch(`/proc/${process.pid}/status`, never);
    assert.ok(outcome.ok);
    assert.match(Buffer.from(outcome.value.bytes).toString(), /^Name:/);
    const small = await openFetcher({ allowRoots: ["/proc"], maxItemBytes: 50, http });
    const refused = await small.fetch(`/proc/${process.pid}/status`, never);
    assert.ok(!refused.ok);
    assert.equal(refused.failure.code, "FETCH_TOO_LARGE");
  });

  it("follows links inside the allowed roots, and refuses those that lead out", async () => {
    writeFileSync(at("real"), "inside");
    symlinkSync("real", at("inner"));
    symlinkSync(join(base, "secret.jpg"), at("outer"));
    symlinkSync(base, at("up"));
    assert.ok((await fetch(at("inner"))).ok);
    await assertCode(at("outer"), "POLICY_PATH", /outside the allowed directories/);
    await assertCode(at("up/secret.jpg"), "POLICY_PATH");
    await assertCode(at("../secret.jpg"), "POLICY_PATH");
    await assertCode(`file://${root}/%2e%2e/secret.jpg`, "POLICY_PATH");
  });

  it("does not take a directory that merely begins like a root for one below it", async () => {
    mkdirSync(`${root}-other`);
    writeFileSync(`${root}-other/a.jpg`, "beside");
    await assertCode(`${root}-other/a.jpg`, "POLICY_PATH");
  });

  it("allows a single file as a root, and the whole file system", async () => {
    const secret = join(base, "secret.jpg");
    for (const allowRoots of [[secret], ["/"]]) {
      const outcome = await (await openFetcher({ allowRoots, maxItemBytes: limit, http })).fetch(secret, never);
      assert.ok(outcome.ok);
    }
  });

  it("says that nothing is there for missing files, broken links and overlong names", async () => {
    symlinkSync("gone", at("broken"));
    writeFileSync(at("file"), "x");
    for (const name of ["missing", "broken", "file/below", "x".repeat(5000)])
      await assertCode(at(name), "FETCH_NOT_FOUND");
  });

  it("refuses circles of links and NUL bytes", async () => {
    symlinkSync("loop-b", at("loop-a"));
    symlinkSync("loop-a", at("loop-b"));
    await assertCode(at("loop-a"), "POLICY_PATH", /circle/);
    await assertCode(`file://${root}/a%00b`, "POLICY_PATH", /NUL/);
    await assertCode(`${root}/a\0b`, "POLICY_PATH", /NUL/);
  });

  it("refuses directories, FIFOs, sockets and devices without opening them", async () => {
    execFileSync("mkfifo", [at("fifo")]);
    const server = createServer().listen(at("socket"));
    await once(server, "listening");
    try {
      await assertCode(root, "POLICY_PATH", /a directory/);
      await assertCode(at("fifo"), "POLICY_PATH", /a FIFO/);
      await assertCode(at("socket"), "POLICY_PATH", /a socket/);
    } finally {
      server.close();
    }
    const devices = await openFetcher({ allowRoots: ["/dev"], maxItemBytes: limit, http });
    const outcome = await devices.fetch("/dev/zero", never);
    assert.ok(!outcome.ok);
    assert.match(outcome.failure.message, /a device/);
  });

  it("says that it is not allowed where permission is lacking", async function () {
    if (process.getuid?.() === 0) return this.skip();
    writeFileSync(at("locked"), "x");
    chmodSync(at("locked"), 0);
    await assertCode(at("locked"), "FETCH_DENIED");
  });

  it("takes a missing file for missing, but a root that is gone for an outage that may pass", async () => {
    writeFileSync(at("a.jpg"), "x");
    symlinkSync(root, join(base, "link"));
    const linked = await openFetcher({ allowRoots: [join(base, "link")], maxItemBytes: limit, http });
    await assertCode(at("gone.jpg"), "FETCH_NOT_FOUND");
    renameSync(root, join(base, "moved"));
    await assert.rejects(fetch(at("a.jpg")), {
      code: "STORAGE_FAILED",
      retryable: true,
      message: /gone, or is not mounted/,
    });
    await assert.rejects(linked.fetch(join(base, "link/a.jpg"), never), { code: "STORAGE_FAILED" });
    renameSync(join(base, "moved"), root);
    assert.ok((await fetch(at("a.jpg"))).ok);
  });

  it("takes an unmounted root for an outage, although its empty mount point is there", async function () {
    const mount = () => execFileSync("mount", ["-t", "tmpfs", "tmpfs", root], { stdio: "ignore" });
    try {
      mount();
    } catch {
      return this.skip();
    }
    const mounted = await openFetcher({ allowRoots: [root], maxItemBytes: limit, http });
    execFileSync("umount", [root]);
    await assert.rejects(mounted.fetch(at("a.jpg"), never), { code: "STORAGE_FAILED" });
    mount();
    writeFileSync(at("a.jpg"), "x");
    const outcomes = [await mounted.fetch(at("a.jpg"), never), await mounted.fetch(at("gone.jpg"), never)];
    execFileSync("umount", [root]);
    const codes = outcomes.map((outcome) => (outcome.ok ? "ok" : outcome.failure.code));
    assert.deepEqual(codes, ["ok", "FETCH_NOT_FOUND"]);
  });

  it("rejects with the signal's reason when aborted", async () => {
    const reason = new Error("stop");
    writeFileSync(at("a.jpg"), "x");
    await assert.rejects(fetcher.fetch(at("a.jpg"), AbortSignal.abort(reason)), reason);
    await assert.rejects(fetcher.fetch("https://example.org/a.jpg", AbortSignal.abort(reason)), reason);
  });
});
