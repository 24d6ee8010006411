/** A compute child whose decoder crashes, or never ends, over bytes that say so. Everything else in it is the real one. */
import sharp from "sharp";
import "../../src/worker/compute/child.js";
import { crashingBytes, hangingBytes } from "./poison.js";

const { metadata } = sharp.prototype as { metadata: (this: unknown) => Promise<unknown> };
Object.assign(sharp.prototype, {
  metadata(this: { options: { input: { buffer?: Buffer } } }) {
    const bytes = this.options.input.buffer;
    if (bytes?.equals(crashingBytes)) process.abort();
    if (bytes?.equals(hangingBytes)) return new Promise(() => {});
    return metadata.call(this);
  },
});
