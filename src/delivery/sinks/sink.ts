import type { Row } from "../../dataset/row.js";

/** A committed part, to be read once the sink knows that it wants it. */
export interface PartToDeliver {
  readonly chunk: number;
  /** Takes the place of rows that the sink may have of it. */
  readonly isNewer: boolean;
  /** All its rows, in item order. Throws `RUN_DATASET_CORRUPT`, `STORAGE_*`. */
  rows(): Promise<readonly Row[]>;
}

/** `present`: it was there before; `busy`: another process is delivering it at this moment. */
export type DeliveryOutcome = "delivered" | "present" | "busy";

/**
 * The port: an open connection to a place that takes the committed parts of one run. The sink itself keeps the record of
 * what it has, so any number of processes may deliver, and one that is killed at any instant leaves a part delivered
 * whole or not at all. Adapters are the other files of this folder; `open-sink` chooses one. Everything throws
 * SINK_UNREACHABLE for what may pass by itself and SINK_REFUSED for what will not; after either the connection is to be
 * closed and another one opened.
 */
export interface Sink {
  /** The chunks whose parts the sink has. */
  deliveredChunks(): Promise<ReadonlySet<number>>;
  /** Takes a part and notes that it has it; two at once, or twice, come to the same. */
  deliver(part: PartToDeliver): Promise<DeliveryOutcome>;
  /** Makes the indexes that searches of this run want, unless they are there; says which it made. */
  index(): Promise<readonly string[]>;
  /** Lets go of the connection at once; whatever is under way rejects, and is undone by the sink. */
  close(): Promise<void>;
}
