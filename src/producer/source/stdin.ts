/**
 * Stdin as a source. It can be read once, so a list that was cut off in the middle cannot be gone on with; only the first
 * look, which tells an empty source from one with items, is repeated for the pass that follows it.
 */
import { addAbortSignal, type Readable } from "node:stream";
import { LabelmillError } from "../../shared/errors.js";
import { type Counts, sumCounts } from "../counts.js";
import type { Source, SourceItem } from "./source.js";

/** Standard input, for a command that may read it. */
export interface StandardInput {
  open(): Readable;
  /** Ends the wait for more, with the signal's reason. */
  readonly signal: AbortSignal;
}

/** Makes a source that may be gone through once of what `read` makes of stdin. The stream is ended when that is done. */
export function openStdin({ open, signal }: StandardInput, read: (stream: Readable) => Source): Source {
  const stream = addAbortSignal(signal, open());
  // Whoever reads is told of an error; this only keeps it from ending the process while nobody does.
  stream.on("error", () => {});
  const source = read(stream);
  const iterator = source.items(null)[Symbol.asyncIterator]();
  let first: Promise<IteratorResult<SourceItem>> | null = null;
  /** Of the look, which the pass behind it goes over again without reading. */
  let beforeFirst: Counts = {};
  let repeated: Counts = {};
  let passes = 0;
  let isBegun = false;
  return {
    ...source,
    async *items(after) {
      if (after !== null || isBegun) throw new LabelmillError("RUN_SOURCE_ONCE");
      passes += 1;
      const mayBeLook = passes === 1;
      try {
        first ??= iterator.next();
        const begun = await first;
        if (mayBeLook) beforeFirst = { ...source.leftOut() };
        else repeated = beforeFirst;
        for (let next = begun; next.done !== true; next = await iterator.next()) {
          yield next.value;
          isBegun = true;
        }
      } catch (error) {
        throw signal.aborted ? signal.reason : error;
      } finally {
        if (isBegun || !mayBeLook) stream.destroy();
      }
    },
    leftOut: () => sumCounts([source.leftOut(), repeated]),
  };
}
