/**
 * Compiles src, test and bench into dist, and removes what is left there of deleted sources, so that a stale test never
 * runs. Skips the compiler when no input changed since the last success. `node scripts/build.mjs` is `npm run build`.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { execute, root, runScript, StepError, step } from "./step.mjs";

const folders = ["src", "test", "bench"];
const stamp = join(root, "dist/.inputs");
const compilerState = join(root, "dist/.tsbuildinfo");

/** Makes `dist` equal to the sources; returns what it did, in a few words. */
export async function build() {
  const sources = folders.flatMap((folder) => filesBelow(join(root, folder))).filter((path) => path.endsWith(".ts"));
  const removed = removeOrphans(sources);
  const inputs = digest([...sources, ...["tsconfig.json", "package-lock.json"].map((name) => join(root, name))]);
  const isComplete = sources.every((path) => path.endsWith(".d.ts") || existsSync(outputOf(path)));
  if (isComplete && existsSync(stamp) && readFileSync(stamp, "utf8") === inputs) return "up to date";
  // The compiler trusts its record of what it emitted, and would not restore a file that was deleted from dist.
  if (!isComplete) rmSync(compilerState, { force: true });
  const { status } = await execute("node", ["node_modules/typescript/bin/tsc"], { stdout: 2 });
  if (status !== 0) throw new StepError("The TypeScript compiler found errors, see above.");
  writeFileSync(stamp, inputs);
  return `compiled ${sources.length} files${removed > 0 ? `, removed ${removed} stale ones` : ""}`;
}

/** @param {string} source */
const outputOf = (source) => join(root, "dist", relative(root, source).replace(/\.ts$/, ".js"));

/** @param {readonly string[]} sources */
function removeOrphans(sources) {
  const kept = new Set(
    sources.flatMap((path) => [".js", ".js.map", ".d.ts"].map((end) => outputOf(path).replace(/\.js$/, end))),
  );
  const orphans = folders.flatMap((folder) => filesBelow(join(root, "dist", folder))).filter((path) => !kept.has(path));
  for (const path of orphans) rmSync(path);
  return orphans.length;
}

/** @param {string} directory @returns {string[]} */
function filesBelow(directory) {
  if (!existsSync(directory)) return [];
  const entries = readdirSync(directory, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** By size and time of change, not content: reading everything would take longer than the check saves. @param {readonly string[]} paths */
function digest(paths) {
  const hash = createHash("sha256");
  for (const path of paths) {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${relative(root, path)}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest("hex");
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await runScript(() => step("build", build));
}
