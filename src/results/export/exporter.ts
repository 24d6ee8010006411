import type { Row } from "../../dataset/row.js";
import type { OpenedResults } from "../open.js";
import type { Target } from "./target.js";

/** Forms that a dataset can be exported in. */
export const exportFormats = ["csv", "jsonl", "npy", "imagefolder", "label-studio", "coco"] as const;
export type ExportFormat = (typeof exportFormats)[number];

export interface ExportContext {
  readonly results: OpenedResults;
  /** Of `csv` and `jsonl`. */
  readonly columns: readonly (keyof Row)[];
  /** Of `imagefolder`: copies instead of links. */
  readonly copy: boolean;
  /** Of `label-studio` and `coco`: local paths are given relative to this directory. */
  readonly imageRoot: string;
  /** Aborts with what is to be thrown; looked at once a row. */
  readonly signal: AbortSignal;
}

/** What became of the rows. */
export interface Exported {
  readonly rows: number;
  /** Rows that are not in the export, by reason. */
  readonly leftOut: Readonly<Record<string, number>>;
}

/** The port: one form. Memory is bounded whatever the size of the dataset. Adapters are the other files of this folder. */
export interface Exporter {
  /** All that it writes, the export itself first; `to` is its path. */
  paths(to: string): readonly string[];
  write(context: ExportContext, targets: readonly Target[]): Promise<Exported>;
}
