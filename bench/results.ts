/**
 * `npm run bench:results [-- --rows N --embedding float16]`: a made dataset of 2,048 floats a row, and what reading it costs: each command in a
 * process of its own, from its start to its end, with the highest resident memory that the kernel noted (Linux).
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { embeddingForms } from "../src/shared/embedding-form.js";
import { sampleIdentity } from "../test/dataset/samples.js";
import { makeDataset } from "./support/made-dataset.js";
import { peakResidentMebibytes } from "./support/process-times.js";

const { values } = parseArgs({
  options: { rows: { type: "string", default: "100000" }, embedding: { type: "string", default: "float32" } },
});
const rows = Number(values.rows);
const width = 2_048;
const embedding = embeddingForms.find((form) => form === values.embedding) ?? "float32";
const entry = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
const dir = await mkdtemp(join(tmpdir(), "lm-results-"));
const out = join(dir, "dataset");

const commands: readonly (readonly string[])[] = [
  ["stats", out],
  ["search", out, "--label", "class_7"],
  ["search", out, "--index", "5"],
  ["export", out, "--format", "csv", "--to", join(dir, "rows.csv")],
  ["export", out, "--format", "npy", "--to", join(dir, "rows.npy")],
  ["compact", out],
  ["stats", out],
  ["search", out, "--index", "5", "--top", "1000"],
];

const wantsEmbeddings = (args: readonly string[]) => args.includes("npy") || args.includes("--index");

try {
  const started = performance.now();
  await makeDataset(out, { rows, width, identity: { ...sampleIdentity, chunkSize: 256, topK: 5, embedding } });
  const seconds = (performance.now() - started) / 1000;
  const bytes = await bytesOf(join(out, "parts"));
  console.log(
    `${rows} rows of ${width} floats made in ${seconds.toFixed(1)} s: ${Math.round(bytes / rows)} bytes a row`,
  );
  console.log("command                    s  peak RSS MiB");
  for (const args of commands) if (embedding !== "none" || !wantsEmbeddings(args)) await measure(args);
} finally {
  await rm(dir, { recursive: true, force: true });
}

async function measure(args: readonly string[]): Promise<void> {
  const started = performance.now();
  const child = spawn(process.execPath, [entry, "results", ...args], { stdio: ["ignore", "ignore", "inherit"] });
  const ended = once(child, "exit");
  let peak = 0;
  while (child.exitCode === null && child.signalCode === null) {
    peak = Math.max(peak, await peakResidentMebibytes(child.pid ?? 0));
    await Promise.race([ended, sleep(20)]);
  }
  if (child.exitCode !== 0) throw new Error(`${args.join(" ")} ended with ${child.exitCode ?? child.signalCode}`);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const shown = [args[0], ...args.slice(2, 4)].join(" ");
  console.log(`${shown.padEnd(22)} ${seconds.padStart(5)} ${peak.toFixed(0).padStart(13)}`);
}

async function bytesOf(folder: string): Promise<number> {
  const sizes = (await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
