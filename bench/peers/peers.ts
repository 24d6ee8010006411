/**
 * `npm run bench:peers -- --python PATH [--packages DIR] [--photos DIR] [--images N] [--rounds N] [--only NAMES]`: labelmill beside
 * what one would use otherwise, with the same photos, one ResNet-50 with the same weights (Keras's own for tf.data), embeddings
 * and top classes, into Parquet. Each peer first tries the settings that its users would try, and keeps the best; then all run
 * in turn, round after round, so that a noisy machine disturbs all alike. Every clock starts with the model loaded and warm
 * (Ray starts its actor within the clock, as it does for its users).
 *
 * PATH is a Python with torch, torchvision, onnx, onnxscript, onnxruntime, tensorflow, ray[data], pyarrow and Pillow; DIR a
 * folder with @huggingface/transformers in its node_modules. A peer that does not start is reported as absent.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { quantize } from "../../src/library/quantize.js";
import type { Precision } from "../../src/shared/precision.js";
import { importModel } from "../../src/worker/model/import.js";
import type { StageRequest } from "../stage.js";
import { makeCorpus } from "../support/corpus.js";
import { writeResults } from "../support/results.js";
import { median } from "../support/statistics.js";

const execute = promisify(execFile);
const usage =
  "Usage: npm run bench:peers -- --python PATH [--packages DIR] [--photos DIR] [--images N] [--rounds N] [--only NAMES]";
const { values } = parseArgs({
  options: {
    python: { type: "string" },
    packages: { type: "string", default: "." },
    photos: { type: "string", default: "../shared/photos-labelled" },
    images: { type: "string", default: "400" },
    rounds: { type: "string", default: "5" },
    only: { type: "string" },
  },
});
if (values.python === undefined) {
  console.error(usage);
  process.exit(2);
}
const python = values.python;
const rounds = Number(values.rounds);
const images = Number(values.images);
const threads = availableParallelism();
const here = fileURLToPath(new URL(".", import.meta.url));
const scripts = fileURLToPath(new URL("../../../bench/peers/", import.meta.url));

interface Peer {
  readonly name: string;
  readonly command: readonly [program: string, ...args: string[]];
}

const peers: readonly Peer[] = [
  { name: "PyTorch + DataLoader", command: [python, `${scripts}torch_dataloader.py`] },
  { name: "ONNX Runtime + Pillow", command: [python, `${scripts}onnxruntime_pillow.py`] },
  { name: "TensorFlow + tf.data", command: [python, `${scripts}tensorflow_data.py`] },
  { name: "Ray Data + PyTorch", command: [python, `${scripts}ray_data.py`] },
  { name: "transformers.js", command: [process.execPath, `${here}transformers.js`] },
  { name: "BullMQ with a job an image", command: [process.execPath, `${here}naive-worker.js`] },
];

/** One way to label the photos, as it is measured in every round. */
interface Contender {
  readonly name: string;
  readonly settings: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly measure: () => Promise<number>;
  readonly rates: number[];
}

const corpus = await makeCorpus(resolve(values.photos), images);
const scratch = await mkdtemp(join(tmpdir(), "lm-peers-"));
const cacheDir = join(scratch, "cache");
const models = join(scratch, "models");
try {
  const contenders = await prepare();
  for (let round = 1; round <= rounds; round += 1) {
    for (const { name, measure, rates } of contenders) {
      const rate = await measure();
      rates.push(rate);
      console.error(`round ${round} of ${rounds}: ${name} ${rate.toFixed(1)} images/s`);
    }
  }
  await report(contenders);
} finally {
  await Promise.all([corpus.remove(), rm(scratch, { recursive: true, force: true })]);
}

/** The models, the int8 ranges, and each peer with the best of its settings. */
async function prepare(): Promise<readonly Contender[]> {
  console.error("writing the models");
  await execute(python, [`${scripts}make_models.py`, models]);
  await importModel({ cacheDir, name: "peers", path: join(models, "resnet50.pth") });
  console.error("measuring int8 ranges");
  await quantize(corpus.dir, { cacheDir, model: "peers", limit: 64 });
  const contenders = [labelmill("fp32"), labelmill("int8")];
  for (const peer of peers) {
    if (values.only !== undefined && !values.only.split(",").includes(peer.name)) continue;
    const tuned = await tune(peer);
    if (tuned !== null) contenders.push(tuned);
  }
  return contenders;
}

function labelmill(precision: Precision): Contender {
  const stage = { stage: "end-to-end", photos: corpus.dir, width: 0, images, threads } as const;
  const request: StageRequest = { ...stage, model: "peers", precision, cacheDir };
  const measure = async () => {
    const { stdout } = await execute(process.execPath, [join(here, "../stage.js"), JSON.stringify(request)]);
    return (JSON.parse(stdout) as { imagesPerSecond: number }).imagesPerSecond;
  };
  return { name: `labelmill ${precision}`, settings: "none", versions: {}, measure, rates: [] };
}

/** Null where it does not run here; the reason is printed. */
async function tune({ name, command: [program, ...command] }: Peer): Promise<Contender | null> {
  const paths = ["--photos", corpus.dir, "--model", models, "--out", join(scratch, "peer.parquet")];
  const run = async (...more: string[]) => {
    const args = [...command, ...paths, "--packages", resolve(values.packages), ...more];
    const { stdout } = await execute(program, args, { env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" } });
    return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
  };
  try {
    const { configuration, versions } = await run();
    const settings = JSON.stringify(configuration);
    console.error(`${name}: ${settings}`);
    const measure = async () => (await run("--configuration", settings)).imagesPerSecond as number;
    return { name, settings, versions, measure, rates: [] };
  } catch (error) {
    console.error(`${name} is absent: ${(error as { stderr?: string }).stderr?.trim().split("\n").at(-1) ?? error}`);
    return null;
  }
}

/** Ratios are of one round each. */
async function report(contenders: readonly Contender[]): Promise<void> {
  const ours = contenders.slice(0, 2);
  const rows = contenders.map(({ name, settings, versions, rates }) => {
    const ratios = ours.map((our) => spread(our.rates.map((rate, round) => rate / (rates[round] ?? Number.NaN))));
    return { name, settings, versions, imagesPerSecond: spread(rates), fp32Ratio: ratios[0], int8Ratio: ratios[1] };
  });
  for (const { name, settings, imagesPerSecond, fp32Ratio, int8Ratio } of rows)
    console.log(
      `${name.padEnd(24)} ${show(imagesPerSecond)}  fp32 ${show(fp32Ratio)}  int8 ${show(int8Ratio)}  ${settings}`,
    );
  await writeResults("peers", { images, rounds, rows });
}

interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

function spread(numbers: readonly number[]): Spread {
  return { min: Math.min(...numbers), median: median(numbers), max: Math.max(...numbers) };
}

function show(spread: Spread | undefined): string {
  return spread === undefined
    ? ""
    : `${spread.median.toFixed(2)} (${spread.min.toFixed(2)} to ${spread.max.toFixed(2)})`;
}
