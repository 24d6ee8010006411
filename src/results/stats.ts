import { countRows, type PartCounts, type Row } from "../dataset/row.js";
import type { Results } from "./open.js";

/** How often the model was surest of this class. */
export interface LabelStats {
  readonly label: string;
  /** Tells apart classes of one name. */
  readonly index: number;
  readonly count: number;
  /** Mean probability of the class over these rows, 0 to 1. */
  readonly meanScore: number;
}

/** What the committed rows of a run come to. */
export interface Stats extends PartCounts {
  readonly runId: string;
  readonly complete: boolean;
  readonly model: string;
  readonly parts: number;
  /** Over all rows that are ok; null where none is. */
  readonly meanScore: number | null;
  /** Ten counts of rows by score: from 0 to below 0.1, …, from 0.9 to 1. */
  readonly scores: readonly number[];
  /** Most frequent first; equal counts by index. */
  readonly labels: readonly LabelStats[];
}

const columns = ["status", "error_code", "label", "label_index", "score"] as const satisfies readonly (keyof Row)[];
const bins = 10;

/** Counts the rows of `results`, reading these columns alone. Memory: one part, and one entry a class. */
export async function computeStats(results: Results): Promise<Stats> {
  const failuresByCode: Record<string, number> = {};
  const labels = new Map<number, { label: string; count: number; scoreSum: number }>();
  const scores = new Array<number>(bins).fill(0);
  let items = 0;
  for await (const row of results.rows({ columns })) {
    items += 1;
    for (const code of Object.keys(countRows([row]).failuresByCode)) {
      failuresByCode[code] = (failuresByCode[code] ?? 0) + 1;
    }
    if (row.label === null || row.label_index === null || row.score === null) continue;
    const entry = labels.get(row.label_index) ?? { label: row.label, count: 0, scoreSum: 0 };
    labels.set(row.label_index, { ...entry, count: entry.count + 1, scoreSum: entry.scoreSum + row.score });
    const bin = Math.min(Math.floor(row.score * bins), bins - 1);
    scores[bin] = (scores[bin] ?? 0) + 1;
  }
  const failed = Object.values(failuresByCode).reduce((sum, n) => sum + n, 0);
  const entries = [...labels.values()];
  const labelled = entries.reduce((sum, { count }) => sum + count, 0);
  const scoreSum = entries.reduce((sum, entry) => sum + entry.scoreSum, 0);
  const { runId, identity } = results.head;
  return {
    runId,
    complete: results.summary !== null,
    model: identity.model,
    parts: results.partPaths.length,
    items,
    ok: items - failed,
    failed,
    failuresByCode,
    meanScore: labelled === 0 ? null : scoreSum / labelled,
    scores,
    labels: [...labels]
      .map(([index, { label, count, scoreSum }]) => ({ label, index, count, meanScore: scoreSum / count }))
      .sort((a, b) => b.count - a.count || a.index - b.index),
  };
}
