/**
 * Addresses of web servers as sources: one image, or a list, a table or a tar shard that is read as it comes. What it is
 * is told by the name that the address ends in; there is nothing else to go by before it is asked for.
 */
import { LabelmillError } from "../../shared/errors.js";
import { vetUri } from "../../shared/http-uri.js";
import type { RemoteFiles, Selection, Source } from "./source.js";
import { openTar, type Shard } from "./tar.js";
import type { TarInput } from "./tar-entries.js";

/** The canonical form of an address that is a source. Throws RUN_SOURCE_KIND for one that may not be pinned. */
export function webAddressOf(arg: string): string {
  const vetted = vetUri(arg);
  if (vetted.ok) return vetted.uri;
  throw new LabelmillError("RUN_SOURCE_KIND", {
    source: vetted.shown,
    found: `an address that is refused: ${vetted.reason}`,
  });
}

/** An address as one item. */
export function openWebItem(uri: string): Source {
  return {
    async *items(after) {
      if (after === null) yield { uri, token: "1" };
    },
    leftOut: () => ({}),
    roots: [],
  };
}

/**
 * A shard on a web server. It is read through, since a request for each header would take a round trip: with 20 ms and
 * 100 kB a sample that is 5 MB/s, less than most lines have (docs/decisions/0017).
 */
export function openWebTar(uri: string, files: RemoteFiles, selection: Selection): Source {
  return openTar(webShard(uri, files), selection, []);
}

function webShard(uri: string, files: RemoteFiles): Shard {
  return {
    name: uri,
    archive: uri,
    async open(offset) {
      const { size, blocks } = await files.read(uri, { offset, needsRanges: true });
      const iterator = blocks[Symbol.asyncIterator]();
      const close = async () => {
        await iterator.return?.();
      };
      if (size === null) throw new Error("its server does not tell its size");
      return { input: inputOf(iterator, { start: offset, size }), close };
    },
  };
}

/** Drops what lies before the bytes that are asked for. */
function inputOf(blocks: AsyncIterator<Buffer>, { start, size }: { start: number; size: number }): TarInput {
  let held: Buffer = Buffer.alloc(0);
  let at = start;
  return {
    size,
    async read(offset, length) {
      for (;;) {
        const skipped = Math.min(Math.max(offset - at, 0), held.length);
        held = held.subarray(skipped);
        at += skipped;
        if (at === offset && held.length >= length) return held.subarray(0, length);
        const next = await blocks.next();
        if (next.done === true) return at === offset ? held : Buffer.alloc(0);
        held = held.length === 0 ? next.value : Buffer.concat([held, next.value]);
      }
    },
  };
}
