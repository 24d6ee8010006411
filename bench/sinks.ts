/**
 * `npm run bench:sinks -- [--rows N] URL…`: a made dataset of 2,048 floats a row, and how fast `results push` brings it to each of
 * the sinks named, from the command's start to its end. The sinks should be empty; what is delivered stays there.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { parseSinkTarget } from "../src/delivery/sink-target.js";
import { sampleIdentity } from "../test/dataset/samples.js";
import { makeDataset } from "./support/made-dataset.js";

const { values, positionals } = parseArgs({
  options: { rows: { type: "string", default: "100000" } },
  allowPositionals: true,
});
const rows = Number(values.rows);
const entry = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
const dir = await mkdtemp(join(tmpdir(), "lm-sinks-"));
const out = join(dir, "dataset");

try {
  await makeDataset(out, { rows, width: 2_048, identity: { ...sampleIdentity, chunkSize: 256, topK: 5 } });
  for (const url of positionals) {
    const started = performance.now();
    const args = ["results", "push", out, "--to", url, "--log-level", "warn"];
    const [code] = await once(spawn(process.execPath, [entry, ...args], { stdio: ["ignore", 2, "inherit"] }), "exit");
    if (code !== 0) throw new Error(`it ended with ${code}`);
    const seconds = (performance.now() - started) / 1000;
    const { kind } = parseSinkTarget(url, process.cwd());
    console.log(`${kind.padEnd(9)} ${seconds.toFixed(1).padStart(6)} s ${Math.round(rows / seconds)} rows/s`);
  }
} finally {
  await rm(dir, { recursive: true, force: true });
}
