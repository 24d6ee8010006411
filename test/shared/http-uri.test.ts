import assert from "node:assert/strict";
import fc from "fast-check";
import { parseHttpUrl, redactUri, vetUri } from "../../src/shared/http-uri.js";

const secret = "hunter2hunter2";

describe("shared/http-uri", () => {
  it("writes a uri as the URL standard does, without its fragment", () => {
    const forms: readonly (readonly [string, string])[] = [
      ["HTTPS://Example.ORG:443/a/../b c.jpg#top", "https://example.org/b%20c.jpg"],
      ["http://example.org", "http://example.org/"],
      ["http://example.org:80/?b=2&a=1", "http://example.org/?b=2&a=1"],
      ["https://bücher.example/é.jpg", "https://xn--bcher-kva.example/%C3%A9.jpg"],
      ["https://[2001:4860:0:0::8888]/a", "https://[2001:4860::8888]/a"],
      ["https://example.org/img@2x.png?key=photos/1.jpg", "https://example.org/img@2x.png?key=photos/1.jpg"],
      ["s3://bucket/key", "s3://bucket/key"],
    ];
    for (const [given, uri] of forms) assert.deepEqual(vetUri(given), { ok: true, uri }, given);
  });

  it("says the same of a canonical uri again", () => {
    fc.assert(
      fc.property(fc.webUrl({ withFragments: true, withQueryParameters: true }), (given) => {
        const once = vetUri(given);
        if (once.ok) assert.deepEqual(vetUri(once.uri), once);
      }),
    );
  });

  it("reads a name that is not ASCII the same way the ten thousandth time", () => {
    // Node 20.20's URL.canParse says no once V8 has compiled its caller, after some 7,000 calls.
    for (let i = 0; i < 50_000; i += 1) assert.ok(vetUri("https://b\u00fccher.example/").ok, `call ${i}`);
  });

  it("refuses what is no address, and IPv4 addresses in any other form than four decimal numbers", () => {
    for (const text of [
      "https://",
      "https:host/a",
      "http://a b/",
      "http://[::1",
      "http://host:99999/",
      "http://[fe80::1%25eth0]/",
    ])
      assert.ok(!vetUri(text).ok, text);
    const odd = [
      "2130706433",
      "0x7f000001",
      "0177.0.0.1",
      "0x7f.1",
      "127.1",
      "127.0.0.1.",
      "１２７.0.0.1",
      "%3127.0.0.1",
    ];
    for (const host of [...odd, "134744072", "0x08.8.8.8", "8.8.2056"]) {
      const vetted = vetUri(`http://${host}/a.jpg`);
      assert.match(vetted.ok ? "" : vetted.reason, /not written as four decimal numbers/, host);
    }
    assert.ok(vetUri("http://8.8.8.8:8080/").ok);
    assert.match(JSON.stringify(parseHttpUrl("//0x7f.1/x", new URL("https://example.org/"))), /four decimal/);
  });

  it("refuses credentials, names the way out, and never shows them", () => {
    const uris = [
      `https://user:${secret}@example.org/a.jpg`,
      `https://${secret}@example.org/a.jpg`,
      `https://user:pa ss${secret}/x@exa mple.org/a.jpg`,
      `s3://AKIA:${secret}@bucket/key`,
      `ftp://user:${secret}@host/a.jpg`,
      `https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=${secret}`,
      `https://b.s3.amazonaws.com/k?AWSAccessKeyId=AKIA&Expires=1&Signature=${secret}`,
      `https://storage.googleapis.com/b/k?x-goog-signature=${secret}#frag`,
      `https://a.blob.core.windows.net/c/k?sv=2022-11-02&sig=${secret}`,
      `https://example.org/a.jpg?tok%65n=${secret}`,
      `https://example.org/a.jpg?x=1;token=${secret}`,
      `https://example.org/a.jpg?access_token=${secret}`,
      `https://0x7f.1/a.jpg?token=${secret}`,
      `https://example.org:99999/a.jpg?token=${secret}#access_token=${secret}`,
      `https://example.org/a.jpg;token=${secret}`,
      `https://example.org/a.jpg?to\tken=${secret}`,
      `s3://bucket/key#token=${secret}`,
      `url:https://user:${secret}@example.org/a.jpg`,
    ];
    for (const uri of uris) {
      const vetted = vetUri(uri);
      assert.ok(!vetted.ok, uri);
      assert.ok(!JSON.stringify(vetted).includes(secret), JSON.stringify(vetted));
      assert.ok(!redactUri(uri).includes(secret), uri);
    }
    const [first] = uris.map((uri) => vetUri(uri));
    assert.deepEqual(first, {
      ok: false,
      shown: "https://***@example.org/a.jpg",
      reason: "it holds a user name or password; give credentials with --header HOST=env:NAME instead",
    });
  });

  it("shows no credentials of a uri behind other characters, or without its scheme", () => {
    const forms = [
      `"https://u:${secret}@h/x`,
      `\0https://u:${secret}@h/x`,
      `//u:${secret}@h/x`,
      `<https://h/?sig=${secret}>`,
    ];
    for (const text of forms) assert.ok(!redactUri(text).includes(secret), redactUri(text));
    assert.equal(redactUri(`(https://u:${secret}@h/x)`), "(https://***@h/x)");
  });

  it("shows paths as they are", () => {
    for (const path of ["/a@b?token=1#x", "a b.jpg"]) assert.equal(redactUri(path), path);
  });
});
