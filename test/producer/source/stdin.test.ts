import assert from "node:assert/strict";
import { PassThrough, Readable } from "node:stream";
import { openList } from "../../../src/producer/source/list.js";
import type { Source } from "../../../src/producer/source/source.js";
import { openStdin } from "../../../src/producer/source/stdin.js";
import { openStreamText } from "../../../src/producer/source/text.js";
import { collect } from "../../support/temp-dir.js";

const never = new AbortController().signal;
const sourceOf = (stream: Readable, signal = never): Source =>
  openStdin({ open: () => stream, signal }, (opened) => openList(openStreamText("stdin", opened, "/cwd")));
const look = async (source: Source) => {
  for await (const item of source.items(null)) return item.uri;
  return null;
};

describe("producer/source/stdin", () => {
  it("gives its items after a look at the first, and ends the stream", async () => {
    const stream = Readable.from([Buffer.from("/a\nb"), Buffer.from(".jpg\n\n/c")]);
    const source = sourceOf(stream);
    assert.equal(await look(source), "/a");
    const items = await collect(source.items(null));
    assert.deepEqual(
      items.map(({ uri, line }) => [line, uri]),
      [
        [1, "/a"],
        [2, "/cwd/b.jpg"],
        [4, "/c"],
      ],
    );
    assert.deepEqual(source.leftOut(), { "blank line": 1 });
    assert.ok(stream.destroyed);
  });

  it("gives its items without a look as well", async () => {
    assert.equal((await collect(sourceOf(Readable.from([Buffer.from("/a\n/b\n")])).items(null))).length, 2);
  });

  it("counts what it left out in the pass that gives the items, also before the first", async () => {
    const source = sourceOf(Readable.from([Buffer.from("\n\n\n/a\n\n/b\n")]));
    await look(source);
    const { "blank line": before = 0 } = source.leftOut();
    await collect(source.items(null));
    assert.equal((source.leftOut()["blank line"] ?? 0) - before, 4);
  });

  it("refuses a second pass, and to go on behind an item", async () => {
    const source = sourceOf(Readable.from([Buffer.from("/a\n/b\n")]));
    await assert.rejects(collect(source.items("3,2")), { code: "RUN_SOURCE_ONCE", exitCode: 1 });
    await look(source);
    await collect(source.items(null));
    await assert.rejects(collect(source.items(null)), { code: "RUN_SOURCE_ONCE" });
  });

  it("ends a stream that goes on where no more is wanted of it", async () => {
    for (const wanted of [1, 2]) {
      const stream = new PassThrough();
      stream.write("/a\n/b\n/c\n");
      const source = sourceOf(stream);
      assert.equal(await look(source), "/a");
      let taken = 0;
      for await (const _ of source.items(null)) {
        taken += 1;
        if (taken === wanted) break;
      }
      assert.ok(stream.destroyed);
    }
  });

  it("stops waiting where the command is interrupted", async () => {
    const controller = new AbortController();
    const source = sourceOf(new PassThrough(), controller.signal);
    const waiting = look(source);
    controller.abort(new Error("interrupted"));
    await assert.rejects(waiting, /interrupted/);
  });
});
