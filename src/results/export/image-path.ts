import { isUtf8 } from "node:buffer";
import { relative } from "node:path";
import { pathOfUri } from "../../shared/file-uri.js";

/** The path of a local image below `root` and relative to it; null for a web address, another place, or a name that is no text. */
export function relativeImagePath(uri: string, root: string): string | null {
  const path = pathOfUri(uri);
  if (path === null || !isUtf8(path)) return null;
  const found = relative(root, path.toString("utf8"));
  return found === "" || found === ".." || found.startsWith("../") ? null : found;
}
