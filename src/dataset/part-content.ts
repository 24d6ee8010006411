import type { EmbeddingForm } from "../shared/embedding-form.js";
import type { PartCounts, Row } from "./row.js";

/** How a part came about: for its footer only, never for its rows. Further details may stand beside these. */
export interface PartMaking {
  /** What really ran, for example `onnx/cpu`. */
  readonly engine: string;
  readonly attempts: number;
  /** Rows that are ok and whose prediction was made for another item with the same bytes. */
  readonly duplicates: number;
  /** Rows that were carried over from another dataset. @default 0 */
  readonly carried?: number;
  readonly workerVersion: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly [detail: string]: string | number;
}

/** What a codec needs of a draft, with the counts that go into the footer. */
export interface EncodablePart {
  readonly runId: string;
  readonly chunk: number;
  readonly rows: readonly Row[];
  readonly columns: readonly (keyof Row)[];
  readonly embeddingWidth: number;
  readonly embedding: EmbeddingForm;
  readonly making: PartMaking;
  readonly counts: PartCounts;
}
