import type { Command } from "commander";
import { type Compaction, compactResults } from "../results/compact.js";
import { addFlags, resolveFlags } from "./flags.js";
import { parseInteger } from "./invalid-option.js";
import { openReading } from "./reading.js";

const mebibyte = 2 ** 20;
const sayEveryMs = 2_000;

const help = `
Rows go into files of about --target MiB below OUT/compacted; each is compared with its parts, row by row, before any part is
removed. May be interrupted at any time and repeated, and does nothing where it is done. All commands read the result as
before; other tools read OUT/compacted/*.parquet then, in place of OUT/parts.
Examples:
  labelmill results compact labels
  labelmill results compact s3://bucket/labels --target 256`;

/** `labelmill results compact`. */
export function registerResultsCompact(results: Command): void {
  addFlags(results.command("compact"), "results")
    .description("put the rows of a complete dataset into large files in place of many small parts")
    .argument("<out>", "directory or s3: uri of a complete dataset")
    .option("--target <MiB>", "size of a file; readers need about three times as much memory", "64")
    .option("--json", "print one JSON object on stdout")
    .addHelpText("after", help)
    .action(compactCommand);
}

async function compactCommand(
  out: string,
  { json, target, ...flags }: Record<string, unknown> & { target: string },
): Promise<void> {
  const targetBytes = parseInteger("target", target, 1, 256) * mebibyte;
  const { terminal, reading } = openReading(out, await resolveFlags(flags));
  let saidMs = Date.now();
  const compaction = await compactResults(out, {
    ...reading,
    targetBytes,
    onFile({ chunks, of }) {
      if (Date.now() - saidMs < sayEveryMs) return;
      saidMs = Date.now();
      terminal.log.info("compacting", { parts: chunks, of });
    },
  });
  terminal.print(json === true ? JSON.stringify(compaction) : describeCompaction(compaction));
}

function describeCompaction({ runId, files, rows, bytes, chunks, removed, wasCompact }: Compaction): string {
  const size = `${(bytes / mebibyte).toFixed(1)} MiB`;
  const gone = removed === 0 ? "" : `; removed ${removed} parts`;
  return `Run ${runId}: ${wasCompact ? "nothing to compact, " : ""}${rows} rows of ${chunks} chunks in ${files} files of ${size}${gone}`;
}
