import assert from "node:assert/strict";
import fc from "fast-check";
import { openJsonl } from "../../../src/producer/source/jsonl.js";
import { collect } from "../../support/temp-dir.js";
import { textOf, uriOnly, withAll } from "./table-samples.js";

const itemsOf = (content: string | Buffer, columns = uriOnly) =>
  collect(openJsonl(textOf(content), columns).items(null));

describe("producer/source/jsonl", () => {
  it("gives uri, id, kept keys and the line of each object", async () => {
    const lines = ['{"uri":"p.jpg","id":7,"a":"x","b":null}', "", '{"b":{"c":[1]},"a":true,"id":"y","uri":"/q"}'];
    const source = openJsonl(textOf(`\uFEFF${lines.join("\r\n")}`), withAll);
    assert.deepEqual(
      (await collect(source.items(null))).map(({ token: _, ...item }) => item),
      [
        { uri: "/t/p.jpg", id: "7", line: 1, extra: { a: "x" } },
        { uri: "/q", id: "y", line: 3, extra: { a: "true", b: '{"c":[1]}' } },
      ],
    );
    assert.deepEqual(source.leftOut(), { "blank line": 1 });
  });

  it("keeps every digit of large integers, and leaves strings and fractions alone", async () => {
    const line =
      '{"uri":"/1234567890123456789","id":1234567890123456789,"a":0.1234567890123456,"b":[-98765432109876543210]}';
    const [item] = await itemsOf(line, withAll);
    assert.equal(item?.uri, "/1234567890123456789");
    assert.equal(item?.id, "1234567890123456789");
    assert.deepEqual(item?.extra, { a: "0.1234567890123456", b: '["-98765432109876543210"]' });
  });

  it("keeps numbers that a double would change as they are written", async () => {
    const written = ["0.12345678901234567890", "1234567890123456.78901", "9007199254740993.0", "1e400", "-1e-400"];
    for (const number of written) {
      const [item] = await itemsOf(`{"uri":"/x","id":${number},"a":[${number}],"b":null}`, withAll);
      assert.deepEqual([item?.id, item?.extra], [number, { a: `["${number}"]` }]);
    }
    const [item] = await itemsOf('{"uri":"/x","id":0.0,"a":[1.5e3,-0.25,0e9],"b":"1e400"}', withAll);
    assert.deepEqual([item?.id, item?.extra], ["0", { a: "[1500,-0.25,0]", b: "1e400" }]);
  });

  it("fails lines that are no item, with their line, and loses none behind them", async () => {
    const lines = [
      '{"uri":"/ok"}',
      "{uri}",
      "[1]",
      "null",
      '{"uri":null}',
      '{"uri":["/x"]}',
      '{"url":"/x"}',
      '{"uri":"/a\\u0000b"}',
      '{"uri":"/\\ud800"}',
      `{"uri":"/${"x".repeat(70_000)}"}`,
      '{"uri":"/end"}',
    ];
    const items = await itemsOf(lines.join("\n"));
    assert.deepEqual(
      items.map(({ line, failure }) => [line, failure?.code ?? "ok"]),
      lines.map((_, i) => [i + 1, i === 0 || i === 10 ? "ok" : "ITEM_INVALID"]),
    );
    const messages = items.map(({ failure }) => failure?.message ?? "");
    assert.match(messages[1] ?? "", /line 2: it is not JSON/);
    assert.match(messages[2] ?? "", /line 3: it is no JSON object/);
    assert.match(messages[5] ?? "", /line 6: its "uri" is an object or a list/);
    assert.match(messages[6] ?? "", /line 7: column "uri" is empty/);
    assert.equal(items[5]?.uri, "/t/table#line=6");
    assert.match(messages[8] ?? "", /surrogate/);
    assert.match(messages[9] ?? "", /longer than 65536/);
  });

  it("fails a line that is not UTF-8", async () => {
    const [, bad] = await itemsOf(
      Buffer.concat([Buffer.from('{"uri":"/a"}\n{"uri":"'), Buffer.from([0xff, 0x22, 0x7d])]),
    );
    assert.match(bad?.failure?.message ?? "", /line 2: it is not UTF-8/);
  });

  it("takes keys that are names of Object's own for columns like any other", async () => {
    const columns = { uriColumn: "__proto__", idColumn: "constructor", keepColumns: ["toString"] };
    const [item] = await itemsOf('{"__proto__":"/a","constructor":"c","toString":"s"}', columns);
    assert.deepEqual([item?.uri, item?.id, item?.extra], ["/a", "c", { toString: "s" }]);
    await assert.rejects(itemsOf('{"x":1}', columns), { code: "RUN_SOURCE_COLUMNS" });
  });

  it("says which keys are there where none of the first lines has a wanted one", async () => {
    const lines = Array.from({ length: 200 }, () => '{"url":"/x","k":1}').join("\n");
    await assert.rejects(itemsOf(lines), { code: "RUN_SOURCE_COLUMNS", message: /no "uri" .* which are "url", "k"/ });
    const late = `${'{"k":1}\n'.repeat(99)}{"uri":"/x"}\n{"k":1}`;
    assert.equal((await itemsOf(late)).length, 101);
    assert.equal((await itemsOf("no\njson\n")).length, 2);
    assert.deepEqual(await itemsOf(""), []);
  });

  it("survives nesting that is deeper than a parser's stack", async () => {
    const items = await itemsOf(`{"uri":"/ok"}\n{"uri":${"[".repeat(60_000)}\n`);
    assert.equal(items[1]?.failure?.code, "ITEM_INVALID");
  });

  it("fails a row whose kept cell is nested deeper than it can be written again", async () => {
    const deep = `${"[".repeat(30_000)}${"]".repeat(30_000)}`;
    const columns = { ...uriOnly, keepColumns: ["k"] };
    const [bad, end] = await itemsOf(`{"uri":"/deep","k":${deep}}\n{"uri":"/end"}\n`, columns);
    assert.match(bad?.failure?.message ?? "", /line 1: it is nested too deeply/);
    assert.equal(end?.uri, "/end");
  });

  it("goes on after any item as if it had not been interrupted", async () => {
    const line = fc.oneof(fc.json({ maxDepth: 1 }), fc.constantFrom("", "{", '{"uri":"/é"}', '{"uri":"a"}'));
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 12 }), async (lines) => {
        const source = openJsonl(textOf(`{"uri":"/first"}\n${lines.join("\n")}`, 5), uriOnly);
        const items = await collect(source.items(null));
        for (const [i, { token }] of items.entries())
          assert.deepEqual(await collect(source.items(token)), items.slice(i + 1));
      }),
      { numRuns: 50 },
    );
  });
});
