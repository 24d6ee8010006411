import { extname } from "node:path";
import { escapeParentheses } from "./parentheses.js";
import { compilePattern } from "./pattern.js";
import type { Selection, Source } from "./source.js";
import { openTree } from "./tree.js";

const imageExtensions = new Set(
  ["jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "gif", "tif", "tiff", "avif", "heic", "heif"].map(
    (e) => `.${e}`,
  ),
);

/** A directory as a source: the files below it that are selected. `root` is an absolute path. */
export function openDirectory(root: string, selection: Selection): Source {
  return openTree(root, { reasonToLeave: compileSelection(selection), mayHold: compileEntry(selection) });
}

const compile = (glob: string) => compilePattern(escapeParentheses(glob), { dot: true, basename: !glob.includes("/") });

/** Whether a directory is entered: not where a glob as `lost+found/**` excludes whatever it holds. */
export function compileEntry({ exclude }: Pick<Selection, "exclude">): (path: string) => boolean {
  const excluded = exclude.filter((glob) => glob.endsWith("/**") && !glob.startsWith("!")).map(compile);
  return (path) => !excluded.some((matches) => matches(path));
}

/** Compiled once: why the file at a path below the root is not an item, or null. Globs without a slash match the name. */
export function compileSelection({ include, exclude, allFiles }: Selection): (path: string) => string | null {
  const included = include.map(compile);
  const excluded = exclude.map(compile);
  return (path) => {
    if (excluded.some((matches) => matches(path))) return "excluded";
    if (included.length > 0) return included.some((matches) => matches(path)) ? null : "not included";
    return allFiles || imageExtensions.has(extname(path).toLowerCase()) ? null : "no image extension";
  };
}
