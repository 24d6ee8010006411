import assert from "node:assert/strict";
import { beforeBraceRange, expandBraceRanges, hasBraceRange } from "../../../src/producer/source/brace-range.js";

describe("producer/source/brace-range", () => {
  it("expands ranges as Bash does, the last one fastest", () => {
    assert.deepEqual(expandBraceRanges("s-{08..11}.tar"), ["s-08.tar", "s-09.tar", "s-10.tar", "s-11.tar"]);
    assert.deepEqual(expandBraceRanges("{9..10}"), ["9", "10"]);
    assert.deepEqual(expandBraceRanges("{0..10}").length, 11);
    assert.deepEqual(expandBraceRanges("{2..00}"), ["02", "01", "00"]);
    assert.deepEqual(expandBraceRanges("{0..1}/{a,b}-{1..2}"), ["0/{a,b}-1", "0/{a,b}-2", "1/{a,b}-1", "1/{a,b}-2"]);
    assert.deepEqual(expandBraceRanges("train-{000000..000099}.tar").at(-1), "train-000099.tar");
  });

  it("leaves alone what is no range", () => {
    for (const text of ["{a,b}", "{1,2}", "{a..c}", "{1..}", "a..b", "{-1..2}"]) {
      assert.ok(!hasBraceRange(text), text);
      assert.deepEqual(expandBraceRanges(text), [text]);
    }
    assert.equal(beforeBraceRange("/a/b-{0..1}/c-{0..1}"), "/a/b-");
  });

  it("refuses more names than anybody means, without making them", () => {
    assert.equal(expandBraceRanges("{1..100000}").length, 100_000);
    for (const text of ["{1..100001}", "{0..999999999999999}", "{1..1000}{1..1000}"])
      assert.throws(() => expandBraceRanges(text), { code: "RUN_SOURCE_KIND", message: /more than 100000 names/ });
    assert.throws(() => expandBraceRanges("https://u:hunter2@h/{1..100001}.tar"), { message: /^((?!hunter2).)*$/ });
  });
});
