import { mkdir, writeFile } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { version } from "../../src/shared/version.js";

const folder = fileURLToPath(new URL("../../../bench/results/", import.meta.url));

/** Writes what a benchmark found to `bench/results/<name>.json`, with the machine, the versions and the arguments. */
export async function writeResults(name: string, found: Readonly<Record<string, unknown>>): Promise<void> {
  const machine = { cpu: cpus()[0]?.model, cores: availableParallelism(), node: process.version, labelmill: version };
  const command = ["npm run", `bench:${name}`, "--", ...process.argv.slice(2).map(withoutPath)];
  await mkdir(folder, { recursive: true });
  const text = JSON.stringify(
    { ...machine, command: command.join(" "), date: new Date().toISOString().slice(0, 10), ...found },
    null,
    2,
  );
  await writeFile(join(folder, `${name}.json`), `${text}\n`);
}

/** A file or directory of this machine says nothing to others. */
const withoutPath = (arg: string): string => (arg.includes("/") ? "PATH" : arg);
