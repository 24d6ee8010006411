import assert from "node:assert/strict";
import { join } from "node:path";
import { envNameOf, optionNames, resolveOptions } from "../../src/shared/options.js";
import { projectRoot } from "./shared-data.js";

/** The files of `deploy/`. */
export const deployRoot = join(projectRoot, "deploy");

/** The name of an image with its version. */
export const pinnedImage = /^[a-z0-9./-]+:v?\d+\.\d+\.\d+[a-z0-9.-]*$/;

/** Fails where a variable is none of ours, or has a value that its option refuses. */
export function assertSettings(env: Readonly<Record<string, string>>): void {
  const names = optionNames.map(envNameOf);
  const own = Object.entries(env).filter(([name]) => name.startsWith("LABELMILL_"));
  for (const [name] of own) assert.ok(names.includes(name), `${name} is no option`);
  resolveOptions({ env: Object.fromEntries(own) });
}
