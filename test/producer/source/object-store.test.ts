import assert from "node:assert/strict";
import { openObjectStore, parsePrefix } from "../../../src/producer/source/object-store.js";
import { openSources } from "../../../src/producer/source/open-source.js";
import type { Selection } from "../../../src/producer/source/source.js";
import { resolveOptions } from "../../../src/shared/options.js";
import { createS3Access } from "../../../src/shared/s3/access.js";
import type { CredentialKind } from "../../../src/shared/s3/credentials.js";
import { startTestStore, type TestStore, testCredentialEnv } from "../../support/s3/store.js";
import { collect } from "../../support/temp-dir.js";

const none: Selection = { include: [], exclude: [], allFiles: false };
const signal = new AbortController().signal;
const names = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `photos/${String(from + i).padStart(5, "0")}.jpg`);
const objects = (keys: readonly string[]) => Object.fromEntries(keys.map((key) => [key, Buffer.from("x")]));

describe("producer/source/object-store", function () {
  // To store 2,500 objects takes as many requests.
  this.timeout(120_000);
  let store: TestStore;
  before(async () => {
    store = await startTestStore();
    await store.put("many", objects(names(0, 2_500)));
    await store.put("mixed", objects(["photos/", "photos/a.jpg", "photos/b.txt", "photos/c/d.PNG", "photos2/e.jpg"]));
  });
  afterEach(() => {
    store.fault = () => null;
    store.answer = () => false;
  });
  after(() => store.close());

  const settings = ({ kind = "environment" as CredentialKind, endpoint = store.url, env = {} } = {}) => {
    const credentials = { kind, env: { ...testCredentialEnv, ...env }, home: "/nowhere" };
    return { access: createS3Access({ endpoint, region: null, credentials }), proxy: null, signal };
  };
  const open = (uri: string, selection = none, given = settings()) =>
    openObjectStore(parsePrefix(uri), selection, given);
  const urisOf = async (source: ReturnType<typeof open>, after: string | null = null) =>
    (await collect(source.items(after))).map(({ uri }) => uri);

  it("gives every object under the prefix once, in order, over several pages", async () => {
    const asked = store.requests.length;
    const found = await urisOf(open("s3://many/photos/"));
    assert.deepEqual(
      found,
      names(0, 2_500).map((key) => `s3://many/${key}`),
    );
    assert.equal(store.requests.length - asked, 3);
  });

  it("goes on behind the item that a token is of, with pages too, also where objects came before it or went", async () => {
    const items = await collect(open("s3://many/photos/").items(null));
    const token = items[700]?.token ?? "";
    assert.deepEqual(
      await urisOf(open("s3://many/"), token),
      names(701, 2_500).map((key) => `s3://many/${key}`),
    );
    assert.deepEqual(await urisOf(open("s3://many/"), "=photos/02499"), ["s3://many/photos/02499.jpg"]);
  });

  it("keeps credentials that stand in a key out of the tokens, and goes on behind such keys nevertheless", async () => {
    const signed = (name: string) => `${name}.jpg?token=hunter2-${name}&.jpg`;
    const keys = [signed("a"), signed("b"), "c=d.jpg", signed("e"), signed("f"), "g.jpg"];
    await store.put("mirror", objects([...keys, signed("b").replace(".jpg", ".txt"), "d.txt"]));
    const source = open("s3://mirror/");
    const items = await collect(source.items(null));
    assert.equal(items.length, keys.length + 1);
    assert.ok(!items.some(({ token }) => token.includes("hunter2")), JSON.stringify(items));
    for (const [i, { token }] of items.entries())
      assert.deepEqual(await collect(source.items(token)), items.slice(i + 1), token);
    await store.put("gone", objects(["c=d.jpg", "g.jpg"]));
    await assert.rejects(collect(open("s3://gone/").items(items[5]?.token ?? "")), {
      code: "RUN_SOURCE_CHANGED",
      message: /the last pinned object of s3:\/\/gone\/, .*, is gone/,
    });
  });

  it("leaves what has no image's name and counts it, and takes --all-files, --include and --exclude as a directory does", async () => {
    const source = open("s3://mixed/photos/");
    assert.deepEqual(await urisOf(source), ["s3://mixed/photos/a.jpg", "s3://mixed/photos/c/d.PNG"]);
    assert.deepEqual(source.leftOut(), { folder: 1, "no image extension": 1 });
    const all = await urisOf(open("s3://mixed/photos", { ...none, allFiles: true }));
    assert.equal(all.length, 4);
    assert.deepEqual(await urisOf(open("s3://mixed/photos/", { ...none, include: ["c/*.PNG"] })), [
      "s3://mixed/photos/c/d.PNG",
    ]);
    assert.deepEqual(await urisOf(open("s3://mixed", { ...none, exclude: ["photos/**"] })), [
      "s3://mixed/photos2/e.jpg",
    ]);
  });

  it("asks again where the store is busy, breaks off or is slow, and neither loses nor doubles a key", async () => {
    const faults = ["503", "reset", "short"] as const;
    store.fault = ({ number }) => faults[number - 1] ?? null;
    const found = await urisOf(open("s3://many/photos/01"));
    assert.deepEqual(
      found,
      names(1_000, 2_000).map((key) => `s3://many/${key}`),
    );
  });

  it("says what the store says where it refuses, and that a request was not signed", async () => {
    const refused = (uri: string, given = settings()) =>
      urisOf(open(uri, none, given)).then(
        () => assert.fail(uri),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, "RUN_SOURCE_UNREADABLE");
          assert.ok(!error.message.includes("CANARY"), error.message);
          return error.message;
        },
      );
    assert.match(await refused("s3://absent/"), /s3:\/\/absent\/: status 404 NoSuchBucket from http:\/\/127/);
    const unsigned = /AccessDenied from .*; the request was not signed, as no credentials were found \(/;
    assert.match(await refused("s3://many/", settings({ kind: "anonymous" })), unsigned);
    const wrong = settings({ env: { AWS_ACCESS_KEY_ID: "CANARYWRONG" } });
    assert.match(await refused("s3://many/", wrong), /status 403 InvalidAccessKeyId/);
    assert.match(await refused("s3://many/", settings({ endpoint: "http://127.0.0.1:1" })), /ECONNREFUSED.*3 times/);
  });

  it("looks for credentials again where the store no longer knows them, also while they are only half there", async () => {
    let looks = 0;
    const env = {
      ...testCredentialEnv,
      get AWS_SECRET_ACCESS_KEY() {
        looks += 1;
        return looks === 2 ? "" : testCredentialEnv.AWS_SECRET_ACCESS_KEY;
      },
    };
    const credentials = { kind: "environment" as const, env, home: "/nowhere" };
    const access = createS3Access({ endpoint: store.url, region: null, credentials });
    for (const code of ["ExpiredToken", "InvalidToken", "RequestExpired"]) {
      let isRefused = false;
      store.answer = ({ query }, response) => {
        if (!query.has("continuation-token") || isRefused) return false;
        isRefused = true;
        response.writeHead(400).end(`<Error><Code>${code}</Code></Error>`);
        return true;
      };
      const found = await urisOf(open("s3://many/photos/", none, { access, proxy: null, signal }));
      assert.equal(found.length, 2_500);
    }
    assert.ok(looks > 2, String(looks));
    store.answer = (_, response) => {
      response.writeHead(400).end("<Error><Code>ExpiredToken</Code></Error>");
      return true;
    };
    const asked = store.requests.length;
    await assert.rejects(urisOf(open("s3://many/")), { code: "RUN_SOURCE_UNREADABLE", message: /ExpiredToken/ });
    assert.equal(store.requests.length - asked, 2);
  });

  it("reads a public bucket without credentials", async () => {
    store.publicBuckets.add("mixed");
    const given = settings({ kind: "anonymous" });
    assert.equal((await urisOf(open("s3://mixed/photos/", none, given))).length, 2);
    assert.equal(store.requests.at(-1)?.isSigned, false);
  });

  it("refuses a store that lists in another order, as no place in it can be found again", async () => {
    store.answer = (_, response) => {
      const entries = ["b.jpg", "a.jpg"].map((key) => `<Contents><Key>${key}</Key></Contents>`).join("");
      response.end(`<ListBucketResult><IsTruncated>false</IsTruncated>${entries}</ListBucketResult>`);
      return true;
    };
    await assert.rejects(urisOf(open("s3://many/")), {
      code: "RUN_SOURCE_UNREADABLE",
      message: /does not list keys in the order/,
    });
  });

  it("ends where a listing goes in a circle", async () => {
    store.answer = (_, response) => {
      const more = "<IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>";
      response.end(`<ListBucketResult>${more}</ListBucketResult>`);
      return true;
    };
    const asked = store.requests.length;
    await assert.rejects(urisOf(open("s3://many/")), { code: "RUN_SOURCE_UNREADABLE", message: /in a circle/ });
    assert.equal(store.requests.length - asked, 2);
  });

  it("stands on a command line beside others, under its canonical name", async () => {
    const options = resolveOptions({});
    const place = { cwd: "/", s3: settings() };
    const { source, names: named } = await openSources(["s3://mixed/photos/", "S3://mixed/photos2"], options, place);
    assert.deepEqual(named, ["s3://mixed/photos/", "s3://mixed/photos2"]);
    const items = await collect(source.items(null));
    assert.deepEqual(
      items.map(({ uri, token }) => [uri, token]),
      [
        ["s3://mixed/photos/a.jpg", "0:=photos/a.jpg"],
        ["s3://mixed/photos/c/d.PNG", "0:=photos/c/d.PNG"],
        ["s3://mixed/photos2/e.jpg", "1:=photos2/e.jpg"],
      ],
    );
    await assert.rejects(openSources(["s3:///x"], options, place), { code: "RUN_SOURCE_KIND" });
    for (const text of ["s3://b/p?s3_secret_access_key=hunter2", "s3://AK:hunter2@b/p", "s3://AK:hunter2@b/p.tar"]) {
      await assert.rejects(openSources([text], options, place), (error: Error & { code?: string }) => {
        assert.deepEqual([error.code, /hunter2/.test(error.message)], ["RUN_SOURCE_KIND", false], error.message);
        return true;
      });
    }
    for (const shard of ["s3://mixed/a.tar", "s3://mixed/a.tar.gz"])
      await assert.rejects(openSources([shard], options, place), {
        code: "RUN_SOURCE_KIND",
        message: /a tar shard in a bucket, which is not read there; download it/,
      });
  });
});
