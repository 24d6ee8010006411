import assert from "node:assert/strict";
import { encodeMemberName, isTarUri, redactTarUri, tarMemberOfUri, uriOfTarMember } from "../../src/shared/tar-uri.js";

const place = { offset: 1536, length: 10234 };

describe("shared/tar-uri", () => {
  it("names a member by its shard, its name and where its bytes lie, and leads back to them", () => {
    const member = { archive: "file:///data/s.tar", name: encodeMemberName(Buffer.from("a/0001.jpg")), ...place };
    const uri = "tar+file:///data/s.tar#member=a/0001.jpg&offset=1536&length=10234";
    assert.equal(uriOfTarMember(member), uri);
    assert.deepEqual(tarMemberOfUri(uri), member);
    assert.ok(isTarUri(uri) && !isTarUri("/data/s.tar"));
  });

  it("encodes whatever a member is called so that it ends nowhere else", () => {
    assert.equal(encodeMemberName(Buffer.from("a&offset=1#?é\n%.jpg")), "a%26offset%3D1%23%3F%C3%A9%0A%25.jpg");
    assert.equal(encodeMemberName(Buffer.from([0xff])), "%FF");
  });

  it("knows no other form, and no place where a member cannot lie", () => {
    for (const uri of [
      "tar+file:///s.tar",
      "tar+file:///s.tar#member=a",
      "tar+file:///s.tar#member=a&offset=513&length=1",
      "tar+file:///s.tar#member=a&offset=0&length=1",
      "tar+file:///s.tar#member=a&offset=512&length=-1",
      "tar+file:///s.tar#member=a&offset=9007199254740992&length=1",
      "tar+file:///s.tar#member=a&offset=512&length=1&x=1",
      "tar+file:///s.tar#x#member=a&offset=512&length=1",
      "tar+#member=a&offset=512&length=1",
    ])
      assert.equal(tarMemberOfUri(uri), null, uri);
  });

  it("shows no credentials of a shard", () => {
    const secret = { archive: "https://u:hunter2@h/s.tar?sig=hunter2", name: "a.jpg", ...place };
    const shown = redactTarUri(uriOfTarMember(secret));
    assert.equal(shown, "tar+https://***@h/s.tar?sig=***#member=a.jpg&offset=1536&length=10234");
    assert.ok(!redactTarUri("tar+https://u:hunter2@h/s.tar").includes("hunter2"));
  });
});
