import { isHttpUri } from "../../shared/http-uri.js";
import { readClasses } from "./classes.js";
import type { ExportContext, Exported, Exporter } from "./exporter.js";
import { relativeImagePath } from "./image-path.js";
import { leaveOut, rowsOf } from "./rows.js";
import { type Output, writeFile } from "./target.js";

/**
 * Tasks with predictions, to be imported into Label Studio (labelstud.io/guide/predictions): one choice an image. Beside it
 * `….xml`, the labeling configuration that has these choices. Local images are `/data/local-files/?d=PATH`, relative to
 * the directory that LOCAL_FILES_DOCUMENT_ROOT names there.
 */
export const labelStudioExporter: Exporter = {
  paths: (to) => [to, `${to.replace(/\.json$/, "")}.xml`],
  async write(context, [tasks, configuration]) {
    const classes = await readClasses(context);
    await writeFile(configuration?.temporary ?? "", async ({ write }) => {
      await write('<View>\n  <Image name="image" value="$image"/>\n  <Choices name="label" toName="image">\n');
      for (const { name } of classes.values()) await write(`    <Choice value="${escapeXml(name)}"/>\n`);
      await write("  </Choices>\n</View>\n");
    });
    return writeFile(tasks?.temporary ?? "", (output) =>
      writeTasks(context, output, (index) => classes.get(index)?.name),
    );
  },
};

async function writeTasks(
  context: ExportContext,
  { write }: Output,
  nameOf: (index: number) => string | undefined,
): Promise<Exported> {
  const leftOut: Record<string, number> = {};
  const { model, modelSha256 } = context.results.head.identity;
  let rows = 0;
  await write("[");
  for await (const row of rowsOf(context, ["item_index", "item_id", "uri", "label_index", "score"])) {
    const { item_index, item_id, uri, label_index, score } = row;
    const image = imageUrl(uri, context.imageRoot);
    if (label_index === null) leaveOut(leftOut, "failed");
    else if (image === null) leaveOut(leftOut, "not below --image-root");
    else {
      const value = { choices: [nameOf(label_index)] };
      const result = [{ from_name: "label", to_name: "image", type: "choices", value }];
      const predictions = [{ model_version: `${model}@${modelSha256.slice(0, 12)}`, score, result }];
      const task = { data: { image, item_index, item_id, uri }, predictions };
      await write(`${rows === 0 ? "" : ","}\n${JSON.stringify(task)}`);
      rows += 1;
    }
  }
  await write("\n]\n");
  return { rows, leftOut };
}

function imageUrl(uri: string, root: string): string | null {
  if (isHttpUri(uri)) return uri;
  const path = relativeImagePath(uri, root);
  return path === null ? null : `/data/local-files/?d=${path.split("/").map(encodeURIComponent).join("/")}`;
}

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escapeXml(text: string): string {
  return text.replaceAll(/[&<>"]/g, (char) => entities[char] ?? char);
}
