import { access, copyFile, mkdir, symlink } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import type { Row } from "../../dataset/row.js";
import { pathOfUri } from "../../shared/file-uri.js";
import { nameApart, readClasses } from "./classes.js";
import type { Exporter } from "./exporter.js";
import { leaveOut, rowsOf } from "./rows.js";

/** Of a name, on the usual file systems, less the index and the dashes. */
const longestNameBytes = 220;
/** More behind a dot is no ending that a program would go by. */
const longestEnding = 10;

/**
 * A directory a class, with symbolic links to its images (or copies), as torchvision's ImageFolder takes it. Names begin with
 * the item's index, so that no two are the same. Only images that are still there as local files can be in it.
 */
export const imagefolderExporter: Exporter = {
  paths: (to) => [to],
  async write(context, [target]) {
    const root = target?.temporary ?? "";
    const named = [...(await readClasses(context)).values()].map(({ index, name }) => [index, name] as const);
    const folders = nameApart(new Map(named), folderName);
    await mkdir(root);
    for (const { name } of folders.values()) await mkdir(join(root, name));
    const leftOut: Record<string, number> = {};
    let rows = 0;
    for await (const row of rowsOf(context, ["item_index", "uri", "label_index", "format"])) {
      const folder = row.label_index === null ? undefined : folders.get(row.label_index)?.name;
      const path = pathOfUri(row.uri);
      if (folder === undefined) leaveOut(leftOut, "failed");
      else if (path === null) leaveOut(leftOut, "not a local file");
      else if (!(await isReadable(path))) leaveOut(leftOut, "no longer there");
      else {
        const link = join(root, folder, fileName(row));
        await (context.copy ? copyFile(path, link) : symlink(path, link));
        rows += 1;
      }
    }
    return { rows, leftOut };
  },
};

/** A label as the name of a directory. */
function folderName(label: string): string {
  const name = label.replaceAll(/[/\\\p{Cc}]/gu, "_");
  return cutName(/^\.*$/.test(name) ? `_${name}` : name);
}

/** Without half a character at its end. */
function cutName(name: string): string {
  return Buffer.from(name, "utf8").subarray(0, longestNameBytes).toString("utf8").replaceAll("\uFFFD", "_");
}

/** `00000042-cat.jpg`; what the bytes were found to be ends a name that has no ending. */
function fileName({ item_index, uri, format }: Pick<Row, "item_index" | "uri" | "format">): string {
  const base = basename(uri);
  const found = extname(base);
  const ending = found !== "" && found.length <= longestEnding ? found : format === null ? "" : `.${format}`;
  return `${String(item_index).padStart(8, "0")}-${cutName(basename(base, ending))}${ending}`;
}

async function isReadable(path: Buffer): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
