import type { Command } from "commander";
import type { CallContext } from "../library/context.js";
import { queryOfImage } from "../library/search-image.js";
import { type OpenedResults, openResults } from "../results/open.js";
import { type Hit, queryOf, searchLabel, searchNearest } from "../results/search.js";
import { addFlags, resolveFlags } from "./flags.js";
import { invalid, parseInteger } from "./invalid-option.js";
import { openReading } from "./reading.js";
import { formatTable } from "./table.js";

/** What is searched for; exactly one of them is given. */
interface SearchFlags {
  readonly image?: string;
  readonly id?: string;
  readonly index?: string;
  readonly label?: string;
}

/** `labelmill results search`. */
export function registerResultsSearch(results: Command): void {
  addFlags(results.command("search"), "results search")
    .description("the rows that are nearest to an image or to a row, or the surest ones of a label")
    .argument("<out>", "directory or s3: uri of a dataset, complete or not")
    .option("--image <path>", "nearest to this image, which goes through the dataset's model")
    .option("--id <id>", "nearest to the first row with this item_id")
    .option("--index <n>", "nearest to the row with this item_index")
    .option("--label <label>", "rows of this label, by name or index, surest first")
    .option("--top <k>", "rows to find", "10")
    .option("--json", "print one JSON object on stdout")
    .addHelpText(
      "after",
      `
Nearest is by the cosine of embeddings, exactly: all are compared. The row itself is left out.
Examples:
  labelmill results search labels --image cat.jpg     the rows that look most like it
  labelmill results search labels --index 42 --top 5  those like row 42
  labelmill results search labels --label tripod      the surest tripods`,
    )
    .action(searchCommand);
}

async function searchCommand(out: string, given: Record<string, unknown>): Promise<void> {
  const { json, top: topText, image, id, index, label, ...flags } = given as SearchFlags & Record<string, unknown>;
  const top = parseInteger("top", String(topText), 1, 1_000);
  const asked = requireOne({ image, id, index, label } as SearchFlags);
  const { terminal, context, reading } = openReading(out, await resolveFlags(flags));
  const results = await openResults(out, reading);
  const hits = await search(results, asked, top, context);
  terminal.print(json === true ? JSON.stringify({ runId: results.head.runId, hits }) : describeHits(hits));
}

async function search(
  results: OpenedResults,
  { image, id, index, label }: SearchFlags,
  top: number,
  context: CallContext,
): Promise<Hit[]> {
  if (label !== undefined) return searchLabel(results, label, top);
  if (image !== undefined) return searchNearest(results, await queryOfImage(results, image, context), top);
  const item = id === undefined ? { index: parseInteger("index", index ?? "", 0, Number.MAX_SAFE_INTEGER) } : { id };
  return searchNearest(results, await queryOf(results, item), top);
}

function requireOne(flags: SearchFlags): SearchFlags {
  const given = Object.entries(flags).filter(([, value]) => value !== undefined);
  if (given.length === 1) return flags;
  throw invalid("search", "one of --image, --id, --index and --label", given.map(([name]) => `--${name}`).join(" "));
}

function describeHits(hits: readonly Hit[]): string {
  const isNear = hits.some(({ cosine }) => cosine !== null);
  const rows = hits.map(({ cosine, item_index, label, score, uri }) => {
    const found = [item_index, label ?? "", Number((score ?? 0).toFixed(3)), uri];
    return isNear ? [(cosine ?? 0).toFixed(6), ...found] : found;
  });
  return formatTable([...(isNear ? ["cosine"] : []), "index", "label", "score", "uri"], rows);
}
