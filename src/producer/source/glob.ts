/**
 * A glob as a source: `photos/**` + `/*.jpg`. It is the walk of its fixed part, with a filter, so it gives the order, the
 * resume and the link policy of a directory, and holds no list of what it found. Unlike a directory it names what it
 * wants: extensions do not matter, and hidden files and directories are taken only by a pattern that spells the dot.
 */
import { resolve } from "node:path";
import picomatch from "picomatch";
import { compileEntry, compileSelection } from "./directory.js";
import { escapeParentheses } from "./parentheses.js";
import { compilePattern } from "./pattern.js";
import type { Selection, Source } from "./source.js";
import { openTree, type TreeFilter } from "./tree.js";

/** Whether `text` holds wildcards. What exists under that very name is no glob; the caller looks first. */
export function isGlob(text: string): boolean {
  return picomatch.scan(escapeParentheses(text)).isGlob === true;
}

/** Takes a pattern apart: the directory that all its matches lie in, absolute, and the pattern below that. */
export function splitGlob(pattern: string, cwd: string): { root: string; glob: string } {
  const escaped = escapeParentheses(pattern);
  const { base } = picomatch.scan(escaped, { unescape: true });
  // With that option its backslashes would be gone too.
  const { glob } = picomatch.scan(escaped);
  return { root: resolve(cwd, base), glob };
}

/** The files below `root`, an absolute path, that match. `include` and `exclude` apply to the path below it as well. */
export function openGlob(root: string, glob: string, selection: Selection): Source {
  return openTree(root, compileGlob(glob, selection));
}

function compileGlob(glob: string, { include, exclude }: Selection): TreeFilter {
  const matches = compilePattern(glob);
  const reasonToLeave = compileSelection({ include, exclude, allFiles: true });
  const mayMatch = compileDirectories(glob);
  const isEntered = compileEntry({ exclude });
  return {
    reasonToLeave: (path) => (matches(path) ? reasonToLeave(path) : "not matched by the glob"),
    mayHold: (path) => mayMatch(path) && isEntered(path),
  };
}

/**
 * Keeps the walk out of directories that no match can lie in: each part of the path must match the pattern's part, up to
 * the first `**`. A pattern whose braces or brackets may hold a slash is not taken apart.
 */
function compileDirectories(glob: string): (path: string) => boolean {
  if (/[{(][^})]*\//.test(glob)) return () => true;
  const parts = glob.split("/");
  const deep = parts.findIndex((part) => part.includes("**"));
  const fixed = (deep < 0 ? parts.slice(0, -1) : parts.slice(0, deep)).map((part) => compilePattern(part));
  return (path) => {
    const names = path.split("/");
    if (deep < 0 && names.length > fixed.length) return false;
    return fixed.every((matches, i) => i >= names.length || matches(names[i] ?? ""));
  };
}
