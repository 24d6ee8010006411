import assert from "node:assert/strict";
import fc from "fast-check";
import { fileUriOfPath, pathOfUri, uriOfPath } from "../../src/shared/file-uri.js";

describe("shared/file-uri", () => {
  it("leads any absolute path to a uri and back, byte for byte", () => {
    const name = fc.uint8Array({ minLength: 1, maxLength: 40 }).filter((bytes) => !bytes.includes(0));
    fc.assert(
      fc.property(name, (bytes) => {
        const path = Buffer.concat([Buffer.from("/"), bytes]);
        assert.deepEqual(pathOfUri(uriOfPath(path)), path);
      }),
    );
  });

  it("keeps a UTF-8 path as it is, odd as it may be", () => {
    assert.equal(uriOfPath(Buffer.from("/a b/é\n[n=-1].jpg")), "/a b/é\n[n=-1].jpg");
  });

  it("percent-encodes a path that is not UTF-8", () => {
    assert.equal(uriOfPath(Buffer.from([0x2f, 0x61, 0xff, 0x25])), "file:///a%FF%25");
  });

  it("names any path by a uri where one is wanted, and leads back to it", () => {
    const path = Buffer.from("/a b/é#%.tar");
    assert.equal(fileUriOfPath(path), "file:///a%20b/%C3%A9%23%25.tar");
    assert.deepEqual(pathOfUri(fileUriOfPath(path)), path);
  });

  it("refuses relative paths, other hosts, other schemes and broken escapes", () => {
    for (const uri of ["a.jpg", "file:a.jpg", "file://host/a", "https://h/a", "file:///a%2"])
      assert.equal(pathOfUri(uri), null, uri);
  });
});
