import assert from "node:assert/strict";
import { createServer } from "node:http";
import { canonicalLocation, openStorage } from "../../../src/dataset/storage/open-storage.js";
import type { Storage } from "../../../src/dataset/storage/storage.js";
import { testStoreSettings } from "../../support/s3/settings.js";
import { type StoreFault, startTestStore, type TestStore, testCredentialEnv } from "../../support/s3/store.js";

const bytes = (text: string) => Buffer.from(text);
const text = (read: Uint8Array | null) => (read === null ? null : Buffer.from(read).toString());

describe("dataset/storage/s3", function () {
  this.timeout(60_000);
  let store: TestStore;
  let storage: Storage;
  beforeEach(async () => {
    store = await startTestStore();
    await store.put("data", {});
    storage = openStorage("s3://data/runs/a", testStoreSettings(store));
  });
  afterEach(() => store.close());

  /** The first `times` requests of that method for a key get the fault. */
  const faulty = (fault: StoreFault, method: string, times = 1) => {
    store.fault = (request) => (request.method === method && request.number <= times ? fault : null);
  };

  it("creates a file once: the first of many wins and the others learn of it", async () => {
    const tries = Array.from({ length: 20 }, (_, i) => storage.createOnce("parts/a", bytes(`try ${i}`)));
    const outcomes = await Promise.all(tries);
    assert.equal(outcomes.filter((outcome) => outcome === "created").length, 1);
    assert.equal(text(await storage.read("parts/a")), `try ${outcomes.indexOf("created")}`);
    assert.deepEqual([...(await store.objects("data")).keys()], ["runs/a/parts/a"]);
  });

  it("knows its own write where the answer was lost and the next try is refused", async () => {
    faulty("lost", "PUT");
    assert.equal(await storage.createOnce("parts/a", bytes("mine")), "created");
    assert.equal(store.requests.filter(({ method }) => method === "PUT").length, 2);
    assert.equal(await storage.createOnce("parts/a", bytes("mine")), "exists");
  });

  for (const fault of ["500", "503", "reset", "slow", "short", "lost"] as const) {
    it(`outlasts a store that answers with ${fault} twice, in every call`, async () => {
      const content = bytes("0123456789".repeat(1_000));
      for (const method of ["PUT", "GET", "HEAD", "DELETE"]) {
        faulty(fault, method, 2);
        const path = `parts/${method}`;
        assert.equal(await storage.createOnce(path, content), "created", method);
        assert.equal(await storage.createOnce(path, bytes("others")), "exists", method);
        assert.equal(await storage.size(path), content.length, method);
        assert.deepEqual(Buffer.from((await storage.read(path)) ?? []), content, method);
        assert.equal(text(await storage.readRange(path, 3, 6)), "345", method);
        await storage.remove(path);
        assert.equal(await storage.read(path), null, method);
      }
    });
  }

  it("reads whole files and ranges, and says null of what is absent", async () => {
    await storage.createOnce("a", bytes("0123456789"));
    await storage.createOnce("empty", bytes(""));
    assert.equal(text(await storage.read("empty")), "");
    assert.equal(await storage.size("a"), 10);
    assert.equal(text(await storage.readRange("a", 3, 6)), "345");
    assert.equal((await storage.readRange("a", 3, 6)).buffer.byteLength, 3);
    assert.equal((await storage.readRange("a", 4, 4)).length, 0);
    await assert.rejects(storage.readRange("a", 8, 12), {
      code: "STORAGE_FAILED",
      message: /2 bytes from 8 on, not 4/,
    });
    assert.equal(await storage.read("b"), null);
    assert.equal(await storage.size("b"), null);
    await storage.remove("b");
  });

  it("lists one folder, sorted, with odd names and without probes, over several pages", async () => {
    const many = Array.from({ length: 1_100 }, (_, i) => [`runs/a/parts/${String(i).padStart(5, "0")}`, bytes("x")]);
    await store.put("data", {
      ...Object.fromEntries(many),
      "runs/a/c d+é🐱\n&/x": bytes("x"),
      "runs/ab/y": bytes("y"),
    });
    await store.put("data", { "runs/a/.labelmill-0123456789abcdef.tmp": bytes("x"), "runs/a/run.json": bytes("x") });
    assert.deepEqual(await storage.list(""), ["c d+é🐱\n&/", "parts/", "run.json"]);
    assert.equal((await storage.list("parts/")).length, 1_100);
    assert.deepEqual(await storage.list("none/"), []);
    assert.equal(await storage.sweep([""]), 1);
    assert.equal(await storage.sweep([""]), 0);
  });

  it("takes any prefix that a store takes, and the bucket itself", async () => {
    for (const prefix of ["", "/", "/it's 100% +ö\n\u2028🐱/", "/a//b"]) {
      const place = openStorage(`s3://data${prefix}`, testStoreSettings(store));
      assert.equal(await place.createOnce("x/y", bytes(prefix)), prefix === "/" ? "exists" : "created", prefix);
      assert.ok((await place.list("")).includes("x/"), prefix);
    }
  });

  it("finds out before a run begins whether the store keeps the first of several writes", async () => {
    await storage.prepare();
    assert.deepEqual([...(await store.objects("data")).keys()], []);
    store.isConditional = false;
    await assert.rejects(storage.prepare(), {
      code: "STORAGE_UNCONDITIONAL",
      message: /If-None-Match|4 writers 4 were told/,
    });
    store.answer = ({ method }, response) => {
      if (method !== "PUT") return false;
      response.writeHead(501).end("<Error><Code>NotImplemented</Code></Error>");
      return true;
    };
    await assert.rejects(storage.prepare(), { code: "STORAGE_UNCONDITIONAL", message: /status 501/ });
  });

  it("tells a bucket that is gone from one that is forbidden, from a full store and from one that is away", async () => {
    const elsewhere = openStorage("s3://nowhere/a", testStoreSettings(store));
    const noBucket = { code: "STORAGE_NO_BUCKET", message: /no bucket nowhere at http/ };
    await assert.rejects(elsewhere.read("run.json"), noBucket);
    await assert.rejects(elsewhere.list(""), noBucket);
    await assert.rejects(elsewhere.prepare(), noBucket);
    const wrong = { ...testCredentialEnv, AWS_SECRET_ACCESS_KEY: "wrong" };
    const stranger = openStorage("s3://data/a", testStoreSettings(store, wrong));
    const denied = { code: "STORAGE_DENIED", message: /s3:\/\/data\/a\/run.json: status 403 SignatureDoesNotMatch/ };
    await assert.rejects(stranger.read("run.json"), denied);
    store.answer = (_, response) => {
      response.writeHead(507).end("<Error><Code>XMinioStorageFull</Code></Error>");
      return true;
    };
    await assert.rejects(storage.createOnce("a", bytes("a")), { code: "STORAGE_FULL" });
    await store.close();
    await assert.rejects(storage.read("a"), { code: "STORAGE_FAILED", retryable: true, message: /ECONNREFUSED/ });
  });

  it("looks for credentials again where the store says that they have ended", async () => {
    let isExpired = true;
    store.answer = (_, response) => {
      if (isExpired) response.writeHead(400).end("<Error><Code>ExpiredToken</Code></Error>");
      const wasExpired = isExpired;
      isExpired = false;
      return wasExpired;
    };
    assert.equal(await storage.createOnce("a", bytes("a")), "created");
    isExpired = true;
    store.answer = (_, response) => {
      response.writeHead(400).end("<Error><Code>ExpiredToken</Code></Error>");
      return true;
    };
    await assert.rejects(storage.createOnce("b", bytes("b")), { code: "STORAGE_DENIED", message: /ExpiredToken/ });
  });

  it("refuses bytes that are not those that were written", async () => {
    await storage.createOnce("a", bytes("0123456789"));
    const damaging = createServer(async (request, response) => {
      const answer = await fetch(`${store.url}${request.url}`, { headers: request.headers as Record<string, string> });
      const body = Buffer.from(await answer.arrayBuffer());
      body[0] = 0x58;
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(body);
    });
    await new Promise<void>((resolve) => damaging.listen(0, "127.0.0.1", resolve));
    const { port } = damaging.address() as { port: number };
    store.publicBuckets.add("data");
    const settings = testStoreSettings({ url: `http://127.0.0.1:${port}` });
    const credentials = { ...settings.access.credentials, kind: "anonymous" as const };
    const through = openStorage("s3://data/runs/a", { ...settings, access: { ...settings.access, credentials } });
    await assert.rejects(through.read("a"), { code: "STORAGE_FAILED", message: /not those that were written/ });
    damaging.close();
  });

  it("ends with the signal's reason, also in the middle of a wait", async () => {
    const stop = new AbortController();
    const place = openStorage("s3://data/a", testStoreSettings(store), stop.signal);
    store.fault = () => "503";
    const reading = assert.rejects(place.read("x"), { message: "enough" });
    while (store.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    stop.abort(new Error("enough"));
    await reading;
  });
});

describe("dataset/storage/open-storage (s3)", () => {
  it("writes locations in one way", () => {
    assert.equal(canonicalLocation("s3://bucket/a/b//", "/cwd"), "s3://bucket/a/b");
    assert.equal(canonicalLocation("S3://bucket/", "/cwd"), "s3://bucket");
    assert.equal(canonicalLocation("out", "/cwd"), "/cwd/out");
    assert.equal(canonicalLocation("file:///a%20b", "/cwd"), "/a b");
  });

  it("refuses what is no place of a dataset, and shows no credentials", () => {
    const bad = [
      "s3:bucket",
      "s3://b",
      "s3://bucket/a/../b",
      "s3://id:secret@bucket/x",
      `s3://bucket/${"x".repeat(901)}`,
    ];
    for (const location of [...bad, "gs://bucket/x", "https://host/x"]) {
      assert.throws(
        () => canonicalLocation(location, "/cwd"),
        (error: Error & { code?: string }) => error.code === "OPTION_INVALID" && !error.message.includes("secret"),
        location,
      );
    }
    assert.throws(() => openStorage("s3://bucket/a"), {
      code: "OPTION_INVALID",
      message: /no object store is reached/,
    });
  });
});
