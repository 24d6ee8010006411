import { constants } from "node:fs";
import { open } from "node:fs/promises";

/**
 * The regular file at `path`, into one buffer of the right size at once: `readFile` takes 102 MB in pieces of half a megabyte.
 * Throws an Error for any other kind of file, and for one of more than `maxBytes`.
 */
export async function readWholeFile(path: string, maxBytes = Number.POSITIVE_INFINITY): Promise<Uint8Array> {
  // Opening a FIFO would wait for its writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new Error(`${path} is not a regular file`);
    if (found.size > maxBytes) throw new Error(`${path} has ${found.size} bytes, expected ${maxBytes} at most`);
    const bytes = new Uint8Array(found.size);
    let offset = 0;
    while (offset < bytes.length) {
      const { bytesRead } = await file.read(bytes, offset, bytes.length - offset);
      if (bytesRead === 0) throw new Error(`${path} became shorter while it was read`);
      offset += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}
