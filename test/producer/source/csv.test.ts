import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { openCsv } from "../../../src/producer/source/csv.js";
import type { SourceItem } from "../../../src/producer/source/source.js";
import type { Text } from "../../../src/producer/source/text.js";
import { collect } from "../../support/temp-dir.js";
import { textOf, uriOnly, withAll } from "./table-samples.js";

const itemsOf = (content: string | Buffer, columns = uriOnly, delimiter: "," | "\t" = ",") =>
  collect(openCsv(textOf(content), delimiter, columns).items(null));
const brief = (items: readonly SourceItem[]) =>
  items.map(({ line, uri, failure }) => [line, failure === undefined ? uri : failure.message]);

describe("producer/source/csv", () => {
  it("gives uri, id, kept columns and the line of each row", async () => {
    const items = await itemsOf('a,id,uri,b,z\n1,x,p.jpg,"b, ""q""",9\n,y,https://h/i.jpg,,9\n', withAll);
    assert.deepEqual(
      items.map(({ token: _, ...item }) => item),
      [
        { uri: "/t/p.jpg", id: "x", line: 2, extra: { a: "1", b: 'b, "q"' } },
        { uri: "https://h/i.jpg", id: "y", line: 3, extra: { a: "", b: "" } },
      ],
    );
  });

  it("takes CRLF, a byte order mark, quoted newlines, blank lines and a missing last line end", async () => {
    const source = openCsv(textOf('\uFEFFuri,a\r\n/1,"x\r\ny"\r\n\r\n  \r\n"/2",z'), ",", {
      ...uriOnly,
      keepColumns: ["a"],
    });
    const items = await collect(source.items(null));
    assert.deepEqual(
      items.map(({ uri, line, extra }) => [line, uri, extra?.a]),
      [
        [2, "/1", "x\r\ny"],
        [6, "/2", "z"],
      ],
    );
    assert.deepEqual(source.leftOut(), { "blank line": 2 });
  });

  it("splits at tabs in TSV", async () => {
    assert.deepEqual(brief(await itemsOf("a\turi\n1,2\t/x,y\n", uriOnly, "\t")), [[2, "/x,y"]]);
  });

  it("fails rows that are broken, with their line, and loses none behind them", async () => {
    const rows = [
      "/ok,1", // 2
      "/short", // 3
      "/long,1,2", // 4
      ",1", // 5
      '/q,"x" y', // 6
      '/open,"never closed', // 7
      "/after,1", // 8
      "/nul\0,1", // 9
      `/${"x".repeat(70_000)},1`, // 10
      "file:relative,1", // 11
      '/a"b,1', // 12
      "/end,1", // 13
    ];
    const items = await itemsOf(`uri,a\n${rows.join("\n")}\n`);
    const reason = (i: number) => items[i]?.failure?.message ?? "ok";
    assert.deepEqual(
      items.map(({ line }) => line),
      rows.map((_, i) => i + 2),
    );
    assert.match(reason(1), /line 3: it has 1 fields, and the header has 2/);
    assert.match(reason(2), /line 4: it has 3 fields, and the header has 2/);
    assert.match(reason(3), /line 5: column "uri" is empty/);
    assert.match(reason(4), /line 6: its quoting is broken/);
    assert.match(reason(5), /line 7: a quoted field has no end/);
    assert.match(reason(7), /line 9: it holds a NUL/);
    assert.match(reason(8), /line 10: it is longer than 65536 bytes/);
    assert.match(reason(9), /line 11: expected a file: uri/);
    for (const i of [0, 6, 10, 11]) assert.equal(reason(i), "ok");
    assert.equal(items[10]?.uri, '/a"b');
    assert.equal(items[5]?.uri, "/t/table#line=7");
    assert.equal(items[9]?.uri, "file:relative");
    for (const { uri } of items) assert.ok(uri.length <= 1024);
  });

  it("fails a row that is not UTF-8, and an id that is empty", async () => {
    const bytes = Buffer.concat([Buffer.from("uri,id,a,b\n/"), Buffer.from([0xff]), Buffer.from(",i,,\n/x,,,\n")]);
    const items = await itemsOf(bytes, withAll);
    assert.match(items[0]?.failure?.message ?? "", /line 2: it is not UTF-8/);
    assert.match(items[1]?.failure?.message ?? "", /line 3: column "id" is empty/);
    assert.equal(items[1]?.uri, "/x");
  });

  it("keeps the id and the columns of a row that fails, where they can be read", async () => {
    const items = await itemsOf("uri,id,a,b\n,x,1,2\nfile:y,z,3,4\n", withAll);
    assert.deepEqual(
      items.map(({ uri, id, extra }) => [uri, id, extra]),
      [
        ["/t/table#line=2", "x", { a: "1", b: "2" }],
        ["file:y", "z", { a: "3", b: "4" }],
      ],
    );
  });

  it("reads the lines behind a quoted field that is too long as rows of their own", async () => {
    const filler = Array.from({ length: 2_000 }, (_, i) => `/${String(i).padStart(50, "0")}`);
    const items = await itemsOf(`uri\n"open\n${filler.join("\n")}\n`);
    assert.equal(items.length, 2_001);
    assert.match(items[0]?.failure?.message ?? "", /line 2: a quoted field has no end within 65536 bytes/);
    assert.equal(items.filter(({ failure }) => failure === undefined).length, 2_000);
  });

  it("scans each line of a file of unclosed quotes once for their end, and lets timers fire meanwhile", async () => {
    // Each line leaves a field open, whether one was open before it or not. Looking for the end of each anew took minutes.
    const count = 100_000;
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 1);
    try {
      const items = await collect(openCsv(textOf(`uri\n${'x","\n'.repeat(count)}`, 65_536), ",", uriOnly).items(null));
      assert.equal(items.length, count);
      assert.ok(items.every(({ failure }) => failure?.code === "ITEM_INVALID"));
    } finally {
      clearInterval(timer);
    }
    assert.ok(turns > 0);
  });

  it("finds the end of a quoted field behind lines that were looked at for another", async () => {
    const lines = ["uri,a", '"open', '/1,"x', '/2,"y', 'z"', "/3,z", '/4,"w" v', '/5,"u', "", 't"', "/6,end"];
    assert.deepEqual(
      brief(await itemsOf(lines.join("\n"), { ...uriOnly, keepColumns: ["a"] })).map(([line]) => line),
      [2, 3, 4, 6, 7, 8, 11],
    );
  });

  it("holds of a record what is wanted of it alone", async () => {
    setFlagsFromString("--expose-gc");
    const collectGarbage: () => void = runInNewContext("gc");
    const heapBytes = () => {
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const rows = 2_000;
    // 80 MB of a column that is not wanted.
    const text: Text = {
      ...textOf(""),
      async *blocks() {
        yield Buffer.from("uri,id,caption\n");
        const caption = "c".repeat(40_000);
        for (let i = 0; i < rows; i += 1) yield Buffer.from(`/photos/number-${i}.jpg,identifier-${i},${caption}\n`);
      },
    };
    const before = heapBytes();
    const items = await collect(openCsv(text, ",", { ...uriOnly, idColumn: "id" }).items(null));
    const grown = heapBytes() - before;
    assert.equal(items.length, rows);
    assert.ok(grown < 10 * 2 ** 20, `${grown} bytes`);
  });

  it("says which columns are there where one is missing or stands twice", async () => {
    const code = "RUN_SOURCE_COLUMNS";
    await assert.rejects(itemsOf("url,id\n/1,2\n"), {
      code,
      exitCode: 2,
      message: /no "uri" .* which are "url", "id"/,
    });
    await assert.rejects(itemsOf("uri,uri\n/1,2\n"), { code, message: /"uri" 2 times/ });
    await assert.rejects(itemsOf("uri,id,a\n", withAll), { code, message: /no "b"/ });
    await assert.rejects(itemsOf("\u001b[2Jx\n"), { code, message: /\\u001b\[2Jx/ });
    await assert.rejects(itemsOf(`${Array.from({ length: 50 }, (_, i) => i).join(",")}\n`), {
      code,
      message: /30 more/,
    });
  });

  it("refuses a header that cannot be read, and gives nothing of an empty file", async () => {
    const code = "RUN_SOURCE_CONTENT";
    await assert.rejects(itemsOf('uri,"a" b\n/1,2\n'), { code, message: /header, in line 1/ });
    await assert.rejects(itemsOf("x".repeat(70_000)), { code, message: /longer than 65536/ });
    assert.deepEqual(await itemsOf(""), []);
    assert.deepEqual(await itemsOf("uri\n"), []);
  });

  it("goes on after any item as if it had not been interrupted", async () => {
    const cell = fc.oneof(
      fc.constantFrom("", '"', '"a', '"a"', '"a\nb"', '"a" b', '""""', "é", "\0"),
      fc.string({ maxLength: 6 }),
    );
    const row = fc.array(cell, { minLength: 1, maxLength: 3 }).map((cells) => cells.join(","));
    const end = fc.constantFrom("\n", "\r\n");
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 10 }), end, async (rows, lineEnd) => {
        const source = openCsv(textOf(["uri,a", ...rows].join(lineEnd), 5), ",", uriOnly);
        const items = await collect(source.items(null));
        for (const [i, { token }] of items.entries())
          assert.deepEqual(await collect(source.items(token)), items.slice(i + 1));
      }),
      { numRuns: 200 },
    );
  });

  it("reads whatever is written by the rules as csv-parse does", async () => {
    const quoted = fc.string({ maxLength: 8, unit: fc.constantFrom("a", ",", '"', "\n", "\r\n", "é", " ") });
    const field = quoted.map((value) => `"${value.replaceAll('"', '""')}"`);
    const plain = fc.string({ maxLength: 5, unit: fc.constantFrom("a", "b", "é", " ", ";") });
    const record = fc.tuple(fc.constant("/u"), fc.oneof(field, plain), fc.oneof(field, plain));
    await fc.assert(
      fc.asyncProperty(fc.array(record, { maxLength: 6 }), fc.constantFrom("\n", "\r\n"), async (records, end) => {
        const content = [["uri", "a", "b"], ...records].map((cells) => cells.join(",")).join(end);
        const ours = await itemsOf(content, { ...uriOnly, keepColumns: ["a", "b"] });
        const theirs: unknown[] = parse(content, { columns: true, record_delimiter: end });
        assert.deepEqual(
          ours.map(({ extra }) => extra),
          theirs.map((each) => ({ a: (each as { a: string }).a, b: (each as { b: string }).b })),
        );
      }),
      { numRuns: 200 },
    );
  });
});
