import { basename } from "node:path";
import type { OpenedResults } from "../open.js";
import { cocoExporter } from "./coco.js";
import { csvExporter } from "./csv.js";
import type { ExportContext, Exported, Exporter, ExportFormat } from "./exporter.js";
import { imagefolderExporter } from "./imagefolder.js";
import { jsonlExporter } from "./jsonl.js";
import { labelStudioExporter } from "./label-studio.js";
import { npyExporter } from "./npy.js";
import { writeTargets } from "./target.js";

const exporters: Readonly<Record<ExportFormat, { readonly exporter: Exporter; readonly ending: string }>> = {
  csv: { exporter: csvExporter, ending: ".csv" },
  jsonl: { exporter: jsonlExporter, ending: ".jsonl" },
  npy: { exporter: npyExporter, ending: ".npy" },
  imagefolder: { exporter: imagefolderExporter, ending: "-imagefolder" },
  "label-studio": { exporter: labelStudioExporter, ending: "-label-studio.json" },
  coco: { exporter: cocoExporter, ending: "-coco.json" },
};

/** The name that an export of the dataset has unless it is given another. */
export function usualExportName({ storage }: OpenedResults, format: ExportFormat): string {
  return `${basename(storage.location)}${exporters[format].ending}`;
}

/**
 * Exports a dataset, complete or not, to the absolute path `to`: whole, or not at all. Throws RESULTS_EXISTS unless `force`,
 * RESULTS_EXPORT, RESULTS_NO_EMBEDDING, RUN_DATASET_CORRUPT, STORAGE_*.
 */
export async function exportResults(
  format: ExportFormat,
  { to, force }: { readonly to: string; readonly force: boolean },
  context: ExportContext,
): Promise<Exported & { readonly paths: readonly string[] }> {
  const { exporter } = exporters[format];
  const paths = exporter.paths(to);
  return { ...(await writeTargets(paths, force, (targets) => exporter.write(context, targets))), paths };
}
