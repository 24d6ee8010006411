import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { resolveOptions } from "../../../src/shared/options.js";
import { createS3Access } from "../../../src/shared/s3/access.js";
import type { CredentialKind } from "../../../src/shared/s3/credentials.js";
import { createS3Fetcher } from "../../../src/worker/fetch/s3.js";
import { startTestStore, storeFaults, type TestStore, testCredentialEnv } from "../../support/s3/store.js";
import { useTempDir } from "../../support/temp-dir.js";

const never = new AbortController().signal;
const policy = { ...resolveOptions({}), fetchRetries: 1 };
const bytes = Buffer.from("not really an image".repeat(100));
const oddKeys = [
  "a b+c%2Fé 'quoted' (1)&=~*!.jpg",
  "deep//twice.jpg",
  "hash#and?query=1&b.jpg",
  "日本/🐱.webp",
  "at@sign:8.png",
];

describe("worker/fetch/s3", () => {
  const tempDir = useTempDir();
  let store: TestStore;
  let fetcher: ReturnType<typeof createS3Fetcher>;
  before(async () => {
    store = await startTestStore();
    await store.put("images", Object.fromEntries(["a.jpg", "b.jpg", ...oddKeys].map((key) => [key, bytes])));
  });
  afterEach(async () => {
    store.fault = () => null;
    store.answer = () => false;
    store.publicBuckets.clear();
    await fetcher.close();
  });
  after(() => store.close());

  const open = ({
    kind = "environment" as CredentialKind,
    endpoint = store.url,
    env = {},
    more = {},
    maxItemBytes = 10_000,
  } = {}) => {
    const credentials = { kind, env: { ...testCredentialEnv, ...env }, home: "/nowhere" };
    const access = createS3Access({ endpoint, region: null, credentials });
    fetcher = createS3Fetcher({ access, policy: { ...policy, ...more }, maxItemBytes, proxy: null });
    return fetcher;
  };
  const codeOf = async (uri: string) => {
    const outcome = await fetcher.fetch(uri, never);
    return outcome.ok ? "ok" : outcome.failure.code;
  };

  it("says that an object is unchanged where its store does", async () => {
    const known = await open().fetch("s3://images/a.jpg", never);
    assert.ok(known.ok);
    assert.equal(await fetcher.fetchUnless(known.value, "s3://images/a.jpg", never), "unchanged");
    const other = await fetcher.fetchUnless({ etag: '"other"', modifiedAt: null }, "s3://images/a.jpg", never);
    assert.ok(other !== "unchanged" && other.ok);
  });

  it("gives the bytes of an object, their digest, and what the store says of them", async () => {
    const outcome = await open().fetch("s3://images/a.jpg", never);
    assert.ok(outcome.ok);
    const md5 = createHash("md5").update(bytes).digest("hex");
    assert.deepEqual(Buffer.from(outcome.value.bytes), bytes);
    assert.equal(outcome.value.sha256, createHash("sha256").update(bytes).digest("hex"));
    assert.equal(outcome.value.etag, `"${md5}"`);
    assert.ok(outcome.value.modifiedAt instanceof Date);
  });

  it("asks for a key as it is, whatever characters it holds", async () => {
    open();
    for (const key of oddKeys) {
      assert.equal(await codeOf(`s3://images/${key}`), "ok", key);
      assert.equal(store.requests.at(-1)?.path, `/images/${key}`);
    }
  });

  it("tries again where the store is busy, breaks off or is slow", async () => {
    open();
    for (const fault of storeFaults) {
      const before = store.requests.length;
      store.fault = () => (store.requests.length - before === 1 ? fault : null);
      assert.equal(await codeOf("s3://images/a.jpg"), "ok", fault);
      assert.equal(store.requests.length - before, fault === "slow" ? 1 : 2, fault);
    }
    const codes: string[] = [];
    for (const fault of ["500", "503", "reset", "short"] as const) {
      store.fault = () => fault;
      codes.push(await codeOf("s3://images/a.jpg"));
    }
    assert.deepEqual(codes, ["FETCH_STATUS", "FETCH_STATUS", "FETCH_FAILED", "FETCH_TRUNCATED"]);
  });

  it("makes rows of what is wrong with an object, in the store's own word", async () => {
    open();
    await codeOf("s3://images/a.jpg");
    const messages: string[] = [];
    const keep = async (uri: string) => {
      const outcome = await fetcher.fetch(uri, never);
      messages.push(outcome.ok ? "ok" : `${outcome.failure.code} ${outcome.failure.message}`);
    };
    await keep("s3://images/gone.jpg");
    await keep("s3://absent/a.jpg");
    for (const [status, code] of [
      [403, "AccessDenied"],
      [403, "InvalidObjectState"],
      [403, "SignatureDoesNotMatch"],
      [400, "InvalidRequest"],
    ] as const) {
      store.answer = (_, response) => {
        response.writeHead(status).end(`<Error><Code>${code}</Code><AWSAccessKeyId>CANARYID</AWSAccessKeyId></Error>`);
        return true;
      };
      await keep("s3://images/b.jpg");
    }
    await keep("s3://images/");
    await keep("s3://images/../other/a.jpg");
    assert.deepEqual(messages, [
      "FETCH_NOT_FOUND Nothing is at s3://images/gone.jpg (NoSuchKey)",
      "FETCH_NOT_FOUND Nothing is at s3://absent/a.jpg (NoSuchBucket)",
      "FETCH_DENIED Not allowed to read s3://images/b.jpg (AccessDenied)",
      "FETCH_DENIED Not allowed to read s3://images/b.jpg (InvalidObjectState)",
      "FETCH_DENIED Not allowed to read s3://images/b.jpg (SignatureDoesNotMatch)",
      "FETCH_STATUS s3://images/b.jpg (InvalidRequest) was answered with status 400",
      "FETCH_UNSUPPORTED Cannot fetch s3://images/: it names a bucket, and no object",
      "FETCH_UNSUPPORTED Cannot fetch s3://images/../other/a.jpg: a part of its key is . or .., which servers take for a path",
    ]);
  });

  it("rejects with trouble of the place where its credentials are not known, and goes on once they are", async () => {
    const trouble = { code: "STORAGE_FAILED" };
    open({ env: { AWS_ACCESS_KEY_ID: "CANARYOTHER" } });
    await assert.rejects(fetcher.fetch("s3://images/a.jpg", never), { ...trouble, message: /InvalidAccessKeyId/ });
    const env: Record<string, string> = { AWS_SECRET_ACCESS_KEY: "canary-wrong" };
    const credentials = { kind: "environment" as const, env, home: "/nowhere" };
    Object.assign(env, { ...testCredentialEnv, AWS_SECRET_ACCESS_KEY: "canary-wrong" });
    await fetcher.close();
    const access = createS3Access({ endpoint: store.url, region: null, credentials });
    fetcher = createS3Fetcher({ access, policy, maxItemBytes: 10_000, proxy: null });
    await assert.rejects(fetcher.fetch("s3://images/a.jpg", never), { ...trouble, message: /SignatureDoesNotMatch/ });
    Object.assign(env, testCredentialEnv);
    assert.equal(await codeOf("s3://images/a.jpg"), "ok");
    store.answer = (_, response) => {
      response.writeHead(400).end("<Error><Code>ExpiredToken</Code></Error>");
      return true;
    };
    await assert.rejects(fetcher.fetch("s3://images/a.jpg", never), { ...trouble, message: /ExpiredToken/ });
  });

  it("takes a credentials file that is just being written for trouble of the place, at the start and in the middle", async () => {
    const path = join(tempDir(), "credentials");
    const [id, secret, token] = Object.entries(testCredentialEnv).map(
      ([key, value]) => `${key.toLowerCase()}=${value}`,
    );
    const whole = ["[default]", id, secret, token].join("\n");
    const parts = ["", "[default]", `[default]\n${id}`, whole.slice(0, whole.indexOf("canary-secret") + 9)];
    const credentials = { kind: "auto" as const, env: { AWS_SHARED_CREDENTIALS_FILE: path }, home: "/nowhere" };
    const access = createS3Access({ endpoint: store.url, region: null, credentials });
    fetcher = createS3Fetcher({ access, policy, maxItemBytes: 10_000, proxy: null });
    for (let round = 0; round < 2; round += 1) {
      for (const text of parts) {
        await writeFile(path, text);
        await assert.rejects(fetcher.fetch("s3://images/a.jpg", never), { code: "STORAGE_FAILED" }, text);
      }
      await writeFile(path, whole);
      assert.equal(await codeOf("s3://images/a.jpg"), "ok");
      store.answer = (_, response) => {
        response.writeHead(400).end("<Error><Code>ExpiredToken</Code></Error>");
        return true;
      };
      await assert.rejects(fetcher.fetch("s3://images/a.jpg", never), { code: "STORAGE_FAILED" });
      store.answer = () => false;
    }
  });

  it("says that nothing was signed, as trouble of the place until something is public", async () => {
    open({ kind: "anonymous" });
    await assert.rejects(fetcher.fetch("s3://images/a.jpg", never), {
      code: "STORAGE_FAILED",
      message: /AccessDenied; the request was not signed, as no credentials were found/,
    });
    store.publicBuckets.add("images");
    assert.equal(await codeOf("s3://images/a.jpg"), "ok");
    assert.equal(await codeOf("s3://secret/a.jpg"), "FETCH_DENIED");
  });

  it("rejects with trouble of the place where that cannot be reached", async () => {
    open({ endpoint: "http://127.0.0.1:1", more: { fetchRetries: 0 } });
    await assert.rejects(fetcher.fetch("s3://images/a.jpg", never), {
      code: "STORAGE_FAILED",
      message: /Storage failed at http:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/,
    });
  });

  it("reaches a private endpoint whatever hosts items may have, and none that is denied", async () => {
    open({ more: { allowHost: ["example.org"], allowPrivate: [] } });
    assert.equal(await codeOf("s3://images/a.jpg"), "ok");
    await fetcher.close();
    const blocked = async (endpoint: string, more: object) => {
      open({ endpoint, more });
      await assert.rejects(fetcher.fetch("s3://images/a.jpg", never), { code: "STORAGE_FAILED" });
      await fetcher.close();
    };
    await blocked(store.url, { denyHost: ["127.0.0.0/8"] });
    await blocked(store.url.replace("127.0.0.1", "store.localhost"), { denyHost: ["store.localhost"] });
    await blocked("http://169.254.169.254", {});
    open();
  });

  it("follows no redirect, but signs anew for the region that the store names", async () => {
    let visits = 0;
    const elsewhere = createServer((_, response) => {
      visits += 1;
      response.end("x");
    });
    elsewhere.listen(0, "127.0.0.1");
    await once(elsewhere, "listening");
    const location = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/`;
    open();
    store.answer = ({ number }, response) => {
      if (number > 1 && visits === 0) return false;
      response
        .writeHead(301, { "x-amz-bucket-region": "eu-west-3", location })
        .end("<Error><Code>PermanentRedirect</Code></Error>");
      return true;
    };
    assert.equal(await codeOf("s3://images/at@sign:8.png"), "ok");
    store.answer = (_, response) => {
      response.writeHead(307, { location }).end();
      return true;
    };
    assert.equal(await codeOf("s3://images/a.jpg"), "FETCH_STATUS");
    assert.equal(visits, 0);
    elsewhere.close();
  });

  it("does not run in a circle where the store names one region after the other", async () => {
    open();
    store.answer = ({ number }, response) => {
      response.writeHead(301, { "x-amz-bucket-region": number % 2 === 0 ? "eu-west-3" : "eu-west-1" }).end();
      return true;
    };
    const before = store.requests.length;
    assert.equal(await codeOf("s3://images/deep//twice.jpg"), "FETCH_STATUS");
    assert.equal(store.requests.length - before, 2);
  });

  it("reads no more than an item may have", async () => {
    open({ maxItemBytes: 1_024 });
    assert.equal(await codeOf("s3://images/a.jpg"), "FETCH_TOO_LARGE");
  });
});
