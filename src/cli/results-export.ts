import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { type Row, rowColumns } from "../dataset/row.js";
import { type ExportFormat, exportFormats } from "../results/export/exporter.js";
import { exportResults, usualExportName } from "../results/export/open-exporter.js";
import { openResults } from "../results/open.js";
import { redactUri } from "../shared/http-uri.js";
import { isS3Uri } from "../shared/s3-uri.js";
import { addFlags, resolveFlags } from "./flags.js";
import { invalid } from "./invalid-option.js";
import { openReading } from "./reading.js";

interface ExportFlags {
  readonly format: ExportFormat;
  readonly to?: string;
  readonly columns?: string;
  readonly imageRoot: string;
  readonly copy?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

const exportHelp = `
Examples:
  labelmill results export labels --format csv --to labels.csv
  labelmill results export labels --format npy          the embeddings as one matrix, and which row is whose
  labelmill results export labels --format imagefolder  one directory a label, with links to the images`;

/** `labelmill results export`. */
export function registerResultsExport(results: Command): void {
  addFlags(results.command("export"), "results")
    .description("write a dataset in another form; whole, or not at all")
    .argument("<out>", "directory or s3: uri of a dataset, complete or not")
    .addOption(new Option("--format <form>", "what to write").choices(exportFormats).makeOptionMandatory())
    .option(
      "--to <path>",
      "local file or directory to write (default: named for the dataset, in the current directory)",
    )
    .option("--columns <names>", "of csv and jsonl, with commas between them (default: all but embedding)")
    .option("--image-root <dir>", "label-studio and coco give the paths of local images relative to this", "/")
    .option("--copy", "of imagefolder: copies of the images instead of links to them")
    .option("--force", "replace a file that is there; never a directory")
    .option("--json", "print one JSON object on stdout")
    .addHelpText("after", exportHelp)
    .action(exportCommand);
}

async function exportCommand(out: string, given: ExportFlags & Record<string, unknown>): Promise<void> {
  const { format, to, columns, imageRoot, copy = false, force = false, json = false, ...flags } = given;
  const wanted = parseColumns(columns);
  if (to !== undefined && isS3Uri(to))
    throw invalid("to", "a local path: exports are written to local files, wherever the dataset lies", redactUri(to));
  const { terminal, reading } = openReading(out, await resolveFlags(flags));
  const { signal } = reading;
  const results = await openResults(out, reading);
  const place = { to: resolve(to ?? usualExportName(results, format)), force };
  const context = { results, columns: wanted, copy, imageRoot: resolve(imageRoot), signal };
  const { rows, leftOut, paths } = await exportResults(format, place, context);
  const left = Object.entries(leftOut).map(([reason, count]) => `; left out ${count}: ${reason}`);
  const text = `${rows} rows exported to ${paths.join(" and ")}${left.join("")}`;
  terminal.print(json ? JSON.stringify({ runId: results.head.runId, format, rows, leftOut, paths }) : text);
}

function parseColumns(text: string | undefined): readonly (keyof Row)[] {
  const known = Object.keys(rowColumns);
  const isColumn = (name: string): name is keyof Row => known.includes(name);
  const names = text === undefined ? known.filter((name) => name !== "embedding") : text.split(",");
  const columns = names.filter(isColumn);
  if (columns.length === names.length) return columns;
  throw invalid("columns", `some of ${known.join(", ")}, with commas between them`, text ?? "");
}
