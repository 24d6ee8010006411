/**
 * What the peers in Node share: their arguments, the same columns as Parquet as `peer.py` writes, and one JSON line as the
 * result. A peer's clock starts when its model is loaded and has run once, and stops when the Parquet file is written.
 */
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Field, FixedSizeList, Float32, makeData, Table, tableToIPC, Vector, vectorFromArray } from "apache-arrow";
import { Compression, Table as WasmTable, WriterPropertiesBuilder, writeParquet } from "parquet-wasm/node";
import { topK } from "../../src/worker/model/top-k.js";

const classes = 1_000;
const embeddingWidth = 2_048;

export interface PeerArguments<Configuration> {
  /** Images in order. */
  readonly paths: readonly string[];
  /** Directory that make_models.py wrote. */
  readonly model: string;
  readonly out: string;
  /** Folder whose node_modules hold the peer's package. */
  readonly packages: string;
  /** What was found to be best; null in a trial. */
  readonly configuration: Configuration | null;
}

/** Of one image: `[1000]` and `[2048]` floats. */
export interface PeerPrediction {
  readonly logits: Float32Array;
  readonly embedding: Float32Array;
}

/** Predictions of the images at `paths`, in their order. */
export type Predict = (paths: readonly string[]) => Promise<readonly PeerPrediction[]>;

/** Images of the trial that chooses a configuration. */
const trialImages = 64;

/** Runs one peer: with `--configuration` over all images, without it each configuration over the first, to print the best. */
export async function runPeer<Configuration>(
  configurations: readonly Configuration[],
  versions: Readonly<Record<string, string>>,
  open: (
    args: PeerArguments<Configuration>,
    configuration: Configuration,
  ) => Promise<{ predict: Predict; close(): Promise<void> }>,
): Promise<void> {
  const args = await readArguments<Configuration>();
  const rateOf = async (configuration: Configuration, paths: readonly string[]) => {
    const { predict, close } = await open(args, configuration);
    await predict(paths.slice(0, 1));
    const startedMs = performance.now();
    await writeRows(args.out, paths, await predict(paths));
    const imagesPerSecond = paths.length / ((performance.now() - startedMs) / 1000);
    await close();
    return imagesPerSecond;
  };
  if (args.configuration !== null) {
    console.log(JSON.stringify({ imagesPerSecond: await rateOf(args.configuration, args.paths), versions }));
    return;
  }
  let best = { imagesPerSecond: 0, configuration: configurations[0] };
  for (const configuration of configurations) {
    const imagesPerSecond = await rateOf(configuration, args.paths.slice(0, trialImages));
    if (imagesPerSecond > best.imagesPerSecond) best = { imagesPerSecond, configuration };
  }
  console.log(JSON.stringify({ configuration: best.configuration, versions }));
}

async function readArguments<Configuration>(): Promise<PeerArguments<Configuration>> {
  const text = { type: "string", default: "" } as const;
  const { values } = parseArgs({
    options: { photos: text, model: text, out: text, packages: text, configuration: { type: "string" } },
  });
  const names = (await readdir(values.photos)).filter((name) => /\.(jpe?g|png)$/i.test(name)).sort();
  const configuration = values.configuration === undefined ? null : (JSON.parse(values.configuration) as Configuration);
  const { model, out, packages, photos } = values;
  return { paths: names.map((name) => join(photos, name)), model, out, packages, configuration };
}

async function writeRows(out: string, paths: readonly string[], predictions: readonly PeerPrediction[]): Promise<void> {
  if (predictions.length !== paths.length)
    throw new Error(`Expected ${paths.length} predictions, got ${predictions.length}`);
  const top = predictions.map(({ logits }) => topK(logits, Math.min(5, classes)));
  const floats = new Float32Array(predictions.length * embeddingWidth);
  for (const [i, { embedding }] of predictions.entries()) floats.set(embedding, i * embeddingWidth);
  const vectors = makeData({
    type: new FixedSizeList(embeddingWidth, new Field("item", new Float32(), false)),
    length: predictions.length,
    child: makeData({ type: new Float32(), data: floats }),
  });
  const table = new Table({
    uri: vectorFromArray([...paths]),
    label_index: vectorFromArray(top.map(({ indices }) => indices[0] ?? 0)),
    score: vectorFromArray(top.map(({ scores }) => scores[0] ?? 0)),
    top_indices: vectorFromArray(top.map(({ indices }) => [...indices])),
    top_scores: vectorFromArray(top.map(({ scores }) => [...scores])),
    embedding: new Vector([vectors]),
  });
  const properties = new WriterPropertiesBuilder().setCompression(Compression.ZSTD).setDictionaryEnabled(false).build();
  await writeFile(out, writeParquet(WasmTable.fromIPCStream(tableToIPC(table, "stream")), properties));
}
