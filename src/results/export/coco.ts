import type { Row } from "../../dataset/row.js";
import { isHttpUri } from "../../shared/http-uri.js";
import { readClasses } from "./classes.js";
import type { ExportContext, Exported, Exporter } from "./exporter.js";
import { relativeImagePath } from "./image-path.js";
import { leaveOut, rowsOf } from "./rows.js";
import { type Output, writeFile } from "./target.js";

/**
 * COCO's object detection form (cocodataset.org/#format-data). It has no labels of whole images, so an image's label is one
 * annotation whose box is the whole image. Ids count from 1, since some readers take 0 for none: image and annotation
 * `item_index + 1`, category `label_index + 1`. Beyond the form, an annotation has its `score`.
 */
export const cocoExporter: Exporter = {
  paths: (to) => [to],
  write: (context, [target]) => writeFile(target?.temporary ?? "", (output) => writeCoco(context, output)),
};

async function writeCoco(context: ExportContext, output: Output): Promise<Exported> {
  const { runId, createdAt, identity } = context.results.head;
  const classes = [...(await readClasses(context)).values()];
  const categories = classes.map(({ index, name }) => ({ id: index + 1, name, supercategory: "" }));
  const description = `labelmill run ${runId}, labels of ${identity.model}`;
  const info = { description, version: "1.0", year: Number(createdAt.slice(0, 4)), date_created: createdAt };
  await output.write(`{"info":${JSON.stringify(info)},\n"licenses":[],\n"categories":${JSON.stringify(categories)},\n`);
  const exported = await writeList(context, output, "images", imageOf);
  await output.write(",\n");
  await writeList(context, output, "annotations", annotationOf);
  await output.write("}\n");
  return exported;
}

const columns = ["item_index", "uri", "label_index", "score", "width", "height"] as const;
type CocoRow = Pick<Row, (typeof columns)[number]>;

/** Two passes, one a list, so that neither is held. */
async function writeList(
  context: ExportContext,
  { write }: Output,
  name: string,
  entryOf: (row: CocoRow, fileName: string) => object,
): Promise<Exported> {
  const leftOut: Record<string, number> = {};
  let rows = 0;
  await write(`"${name}":[`);
  for await (const row of rowsOf(context, columns)) {
    const fileName = isHttpUri(row.uri) ? row.uri : relativeImagePath(row.uri, context.imageRoot);
    if (row.label_index === null) leaveOut(leftOut, "failed");
    else if (fileName === null) leaveOut(leftOut, "not below --image-root");
    else {
      await write(`${rows === 0 ? "" : ","}\n${JSON.stringify(entryOf(row, fileName))}`);
      rows += 1;
    }
  }
  await write("\n]");
  return { rows, leftOut };
}

function imageOf({ item_index, width, height }: CocoRow, fileName: string): object {
  return { id: item_index + 1, file_name: fileName, width, height };
}

function annotationOf({ item_index, width, height, label_index, score }: CocoRow): object {
  const [w, h] = [width ?? 0, height ?? 0];
  const id = item_index + 1;
  const box = { bbox: [0, 0, w, h], area: w * h, iscrowd: 0, segmentation: [] };
  return { id, image_id: id, category_id: (label_index ?? 0) + 1, ...box, score };
}
