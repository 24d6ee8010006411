/**
 * Local tar shards: headers are read where they are, and the data between them are not. Also every shard that a glob
 * matches, as one source.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { fileUriOfPath, pathOfUri } from "../../shared/file-uri.js";
import { sumCounts } from "../counts.js";
import { openGlob } from "./glob.js";
import type { Selection, Source, SourceItem } from "./source.js";
import { createShardReader, endToken, type Shard } from "./tar.js";
import type { TarInput } from "./tar-entries.js";

/** A sample of WebDataset has small members behind its image; the headers of those and of the next image fit into it. */
const windowBytes = 4096;

/** The shard in a file. `name` is its path, or its `file:` uri where it is not UTF-8. */
export function fileShard(path: Buffer, name: string): Shard {
  return {
    name,
    archive: fileUriOfPath(path),
    async open() {
      // Without waiting for the writer of a FIFO.
      const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
      try {
        return { input: await inputOf(file), close: () => file.close() };
      } catch (error) {
        await file.close();
        throw error;
      }
    },
  };
}

/**
 * The shards below `root`, an absolute path, that match `glob`, in the order of a directory. The resume token is "token in
 * the shard,token of the shard,uri of the shard".
 */
export function openTarGlob(root: string, glob: string, selection: Selection): Source {
  const files = openGlob(root, glob, { include: [], exclude: [], allFiles: true });
  const reader = createShardReader(selection);

  async function* itemsOf(
    file: Pick<SourceItem, "uri" | "token" | "failure">,
    after: string | null,
  ): AsyncGenerator<SourceItem> {
    // A directory that may not be read is a row.
    if (file.failure !== undefined) return yield { ...file, token: `${endToken},${file.token},${file.uri}` };
    const path = pathOfUri(file.uri) ?? Buffer.from(file.uri);
    for await (const item of reader.items(fileShard(path, file.uri), after))
      yield { ...item, token: `${item.token},${file.token},${file.uri}` };
  }

  return {
    async *items(after) {
      const [, inner = "", token = null, uri = ""] =
        after === null ? [] : (/^([^,]*),([^,]*),(.*)$/s.exec(after) ?? []);
      if (token !== null) yield* itemsOf({ uri, token }, inner);
      for await (const file of files.items(token)) yield* itemsOf(file, null);
    },
    leftOut: () => sumCounts([files.leftOut(), reader.leftOut()]),
    roots: files.roots,
  };
}

async function inputOf(file: FileHandle): Promise<TarInput> {
  const stats = await file.stat();
  if (!stats.isFile()) throw new Error("it is not a regular file");
  let window: Buffer = Buffer.alloc(0);
  let start = 0;
  return {
    size: stats.size,
    async read(offset, length) {
      if (offset < start || offset + length > start + window.length) {
        // A new one each time: names are kept as parts of it.
        window = await readAt(file, offset, Math.max(length, windowBytes));
        start = offset;
      }
      return window.subarray(offset - start, offset - start + length);
    },
  };
}

/** Fewer bytes than asked for at the end of the file only. */
async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let read = 0;
  while (read < length) {
    const { bytesRead } = await file.read(bytes, read, length - read, offset + read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return bytes.subarray(0, read);
}
