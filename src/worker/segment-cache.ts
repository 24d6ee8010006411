import { readSegment, type Segment } from "../dataset/items.js";
import type { Storage } from "../dataset/storage/storage.js";
import { LabelmillError } from "../shared/errors.js";
import type { ChunkRef } from "../shared/job.js";

/** Segments of one run's pinned list: a segment of 64 chunks is read once, not 64 times. */
export interface SegmentCache {
  /** The segment that holds the chunk. Throws RUN_JOB_INVALID where it is not the one that the job was made from. */
  get(chunk: ChunkRef): Promise<Segment>;
}

/** Chunks are queued in order, so the ones in hand rarely span more. */
const mostSegments = 2;

export function createSegmentCache(storage: Storage): SegmentCache {
  const cached = new Map<number, Promise<(Segment & { sha256: string }) | null>>();
  return {
    async get({ run, chunk, segment: number, sha256 }) {
      let reading = cached.get(number);
      if (reading === undefined) {
        reading = readSegment(storage, number);
        cached.set(number, reading);
        // What failed or was not there yet (network file systems show files late) is looked for again the next time.
        const forget = () => cached.delete(number);
        reading.then((segment) => segment === null && forget(), forget);
        const [oldest] = cached.keys();
        if (cached.size > mostSegments && oldest !== undefined) cached.delete(oldest);
      }
      const segment = await reading;
      const refuse = (reason: string) =>
        new LabelmillError("RUN_JOB_INVALID", { job: `chunk ${chunk}`, runId: run, reason });
      if (segment === null) throw refuse(`its dataset has no segment ${number}`);
      if (segment.sha256 !== sha256) throw refuse(`segment ${number} has another digest`);
      const isInside = chunk >= segment.firstChunk && chunk < segment.firstChunk + segment.chunks;
      if (!isInside) throw refuse(`segment ${number} does not hold it`);
      return segment;
    },
  };
}
