import assert from "node:assert/strict";
import { errorCodeOf, parseListPage, regionOf } from "../../../src/shared/s3/answers.js";

const page = (inside: string) => `<?xml version="1.0"?>\n<ListBucketResult xmlns="x">${inside}</ListBucketResult>\n`;
const entry = (key: string) => `<Contents><Key>${key}</Key><ETag>&quot;e&quot;</ETag><Size>1</Size></Contents>`;
const last = "<IsTruncated>false</IsTruncated>";

describe("shared/s3/answers", () => {
  it("reads keys in both of their forms", () => {
    const plain = page(`${last}${entry("a &amp; b&#x1F431;&#13;.jpg")}\n${entry(" spaces ")}`);
    assert.deepEqual(parseListPage(plain), { keys: ["a & b🐱\r.jpg", " spaces "], prefixes: [], next: null });
    const encoded = page(`<EncodingType>url</EncodingType>${last}${entry("a+b%2Bc%0A%E6%97%A5/%25.jpg")}`);
    assert.deepEqual(parseListPage(encoded), { keys: ["a b+c\n日/%.jpg"], prefixes: [], next: null });
    assert.deepEqual(parseListPage(page(last)), { keys: [], prefixes: [], next: null });
  });

  it("reads where the listing goes on", () => {
    const more = "<IsTruncated>true</IsTruncated><NextContinuationToken>1/a+b&amp;==</NextContinuationToken>";
    assert.deepEqual(parseListPage(page(`${more}${entry("a")}`)), { keys: ["a"], prefixes: [], next: "1/a+b&==" });
    assert.deepEqual(parseListPage(page(more)), { keys: [], prefixes: [], next: "1/a+b&==" });
  });

  it("refuses what is no page, or not all of one", () => {
    const whole = page(`${last}${entry("a")}${entry("b")}`);
    for (let length = 0; length < whole.trimEnd().length; length += 1)
      assert.throws(() => parseListPage(whole.slice(0, length)), /its listing is (cut off|not one of S3)/);
    for (const [found, claimed] of [
      [["a"], "2"],
      [[], "1"],
      [[], "1000"],
    ] as const) {
      const short = page(`${last}<KeyCount>${claimed}</KeyCount>${found.map(entry).join("")}`);
      assert.throws(() => parseListPage(short), /says that it has \w+ keys, and has \d$/, claimed);
    }
    for (const counted of ["1", "0", "", "one"])
      assert.deepEqual(parseListPage(page(`${last}<KeyCount>${counted}</KeyCount>${entry("a")}`)).keys, ["a"]);
    assert.throws(() => parseListPage("<html>log in</html>"), /not one of S3/);
    assert.throws(() => parseListPage(page("<IsTruncated>true</IsTruncated>")), /does not say where/);
    assert.throws(() => parseListPage(page(`${last}<Contents></Contents>`)), /has no key/);
    assert.throws(() => parseListPage(page(`<EncodingType>url</EncodingType>${last}${entry("%ff")}`)), URIError);
  });

  it("believes nothing but codes and names of regions", () => {
    assert.equal(errorCodeOf("<Error><Code>NoSuchKey</Code><Message>secret</Message></Error>"), "NoSuchKey");
    for (const body of ["", "<html>", "<Code></Code>", "<Code>a b</Code>", `<Code>${"x".repeat(65)}</Code>`])
      assert.equal(errorCodeOf(body), null, body);
    assert.deepEqual([regionOf("eu-west-3"), regionOf(["cn-north-1", "x"])], ["eu-west-3", "cn-north-1"]);
    for (const value of [undefined, "", "evil.example/", "EU West"]) assert.equal(regionOf(value), null);
  });
});
