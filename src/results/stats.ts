import { countRows, type PartCounts, type Row } from "../dataset/row.js";
import type { Results } from "./open.js";

/** How often the model was surest of this label. */
export interface LabelStats {
  readonly label: string;
  readonly count: number;
  /** Mean probability of the label over these rows, 0 to 1. */
  readonly meanScore: number;
}

/** What the committed rows of a run come to. */
export interface Stats extends PartCounts {
  readonly runId: string;
  readonly complete: boolean;
  readonly model: string;
  readonly parts: number;
  /** Most frequent first; equal counts by label. */
  readonly labels: readonly LabelStats[];
}

const columns = ["status", "error_code", "label", "score"] as const satisfies readonly (keyof Row)[];

/** Counts the rows of `results`, reading these columns alone. Memory: one part, and one entry a label. */
export async function computeStats(results: Results): Promise<Stats> {
  const failuresByCode: Record<string, number> = {};
  const labels = new Map<string, { count: number; scoreSum: number }>();
  let items = 0;
  let failed = 0;
  for await (const row of results.rows({ columns })) {
    const counts = countRows([row]);
    items += 1;
    failed += counts.failed;
    for (const code of Object.keys(counts.failuresByCode)) failuresByCode[code] = (failuresByCode[code] ?? 0) + 1;
    if (row.label !== null) addLabel(labels, row.label, row.score ?? 0);
  }
  const { runId, identity } = results.head;
  const totals = { items, ok: items - failed, failed, failuresByCode };
  const run = { runId, complete: results.summary !== null, model: identity.model, parts: results.partPaths.length };
  return { ...run, ...totals, labels: rankLabels(labels) };
}

function addLabel(labels: Map<string, { count: number; scoreSum: number }>, label: string, score: number): void {
  const entry = labels.get(label) ?? { count: 0, scoreSum: 0 };
  entry.count += 1;
  entry.scoreSum += score;
  labels.set(label, entry);
}

function rankLabels(labels: ReadonlyMap<string, { count: number; scoreSum: number }>): LabelStats[] {
  return [...labels]
    .map(([label, { count, scoreSum }]) => ({ label, count, meanScore: scoreSum / count }))
    .sort((a, b) => b.count - a.count || (a.label < b.label ? -1 : 1));
}
