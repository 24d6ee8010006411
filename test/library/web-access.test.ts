import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readWebAccess } from "../../src/library/web-access.js";
import { resolveOptions } from "../../src/shared/options.js";
import { projectRoot } from "../support/shared-data.js";
import { useTempDir } from "../support/temp-dir.js";

const secret = "hunter2";

describe("library/web-access", () => {
  const tempDir = useTempDir();
  const read = (given: readonly string[], env: Record<string, string> = {}) =>
    readWebAccess({ ...resolveOptions({}), header: [...given] }, { cwd: tempDir(), home: tempDir(), env });

  it("reads lines from variables and files, and keeps hosts and schemes apart", async () => {
    await writeFile(join(tempDir(), "headers"), "X-One: 1\r\nCookie: a=b; c=d\n\n");
    const env = { AUTH: `Authorization: Bearer ${secret}` };
    const { hostHeaders: headers } = await read(
      ["Images.test=env:AUTH", "images.test=file:headers", "http://plain.test=file:headers"],
      env,
    );
    const lines = { "x-one": "1", cookie: "a=b; c=d" };
    assert.deepEqual(Object.fromEntries(headers), {
      "https://images.test": { authorization: `Bearer ${secret}`, ...lines },
      "http://plain.test": lines,
    });
  });

  it("names servers as pinned items do: by scheme, host and port", async () => {
    const keyOf = async (host: string) =>
      [...(await read([`${host}=env:AUTH`], { AUTH: "X: 1" })).hostHeaders.keys()][0];
    const named = {
      "own.test:8443": "https://own.test:8443",
      "own.test:443": "https://own.test",
      "HTTP://Own.test": "http://own.test",
      "http://own.test:80/": "http://own.test",
      "own.test..": "https://own.test",
      "ex%61mple.test": "https://example.test",
      "bücher.test": "https://xn--bcher-kva.test",
      "[::1]:8080": "https://[::1]:8080",
    };
    for (const [host, key] of Object.entries(named)) assert.equal(await keyOf(host), key);
    for (const host of [
      "*.test",
      "::1",
      "127.1",
      "own.test/path",
      "own.test?a",
      `me:${secret}@own.test`,
      "own.test:x",
    ]) {
      await assert.rejects(keyOf(host), (error: Error) => {
        assert.match(error.message, /to be for HOST, HOST:PORT or http:\/\/HOST.*got `https:.*=env:AUTH`/, host);
        assert.ok(!error.message.includes(secret), error.message);
        return true;
      });
    }
  });

  it("takes the example of the documentation as it stands there", async () => {
    const docs = await readFile(join(projectRoot, "docs/fetch.md"), "utf8");
    const [, value = ""] = /export IMG_AUTH='(.*)'/.exec(docs) ?? [];
    const [, header = ""] = /--header (\S+=env:IMG_AUTH)/.exec(docs) ?? [];
    const { hostHeaders } = await read([header], { IMG_AUTH: value });
    assert.deepEqual([...hostHeaders.values()], [{ authorization: "Bearer TOKEN" }]);
    await assert.rejects(
      read([header], { IMG_AUTH: "Authorization: Bearer …" }),
      /in printable ASCII \(line 1 is not\)/,
    );
  });

  it("refuses what it cannot read, without showing it", async () => {
    const env = { EMPTY: "", BAD: `Authorization ${secret}`, SPLIT: `X: ${secret}\u0000`, HOST: `Host: ${secret}` };
    const given = [
      `h=Authorization: ${secret}`,
      secret,
      "h=env:NONE",
      "h=env:EMPTY",
      "h=env:BAD",
      "h=env:SPLIT",
      "h=env:HOST",
      "h=file:none",
    ];
    for (const each of given) {
      const refused = await read([each], env).then(
        () => assert.fail(each),
        (error: Error) => error,
      );
      assert.equal((refused as { code?: unknown }).code, "OPTION_INVALID", each);
      assert.ok(!refused.message.includes(secret), refused.message);
    }
  });

  it("reads proxies in either spelling, and is none where neither scheme has one", async () => {
    const proxyOf = async (env: Record<string, string>) => (await read([], env)).proxy;
    assert.equal(await proxyOf({ NO_PROXY: "localhost", HTTPS_PROXY: "" }), null);
    const found = { http: "", https: "http://p:3128", direct: ".internal" };
    assert.deepEqual(await proxyOf({ HTTPS_PROXY: "http://p:3128", no_proxy: ".internal" }), found);
    assert.equal((await proxyOf({ http_proxy: "http://a:1", HTTP_PROXY: "http://b:2" }))?.http, "http://a:1");
  });

  it("takes a proxy without a scheme for http, as curl does, and names the variable of one that is none", async () => {
    const proxyOf = async (env: Record<string, string>) => (await read([], env)).proxy;
    assert.equal((await proxyOf({ HTTP_PROXY: "127.0.0.1:3128" }))?.http, "http://127.0.0.1:3128");
    assert.equal((await proxyOf({ https_proxy: "me:pw@p.test:3128" }))?.https, "http://me:pw@p.test:3128");
    for (const value of [`socks5://me:${secret}@p.test:1080`, `me:${secret}@p.test:port`, `http://me:${secret}@[`]) {
      await assert.rejects(proxyOf({ https_proxy: value }), (error: Error) => {
        assert.equal((error as { code?: unknown }).code, "OPTION_INVALID");
        assert.match(error.message, /^Expected `https_proxy` to be .*\*\*\*@.* \(environment\)$/);
        assert.ok(!error.message.includes(secret), error.message);
        return true;
      });
    }
  });
});
