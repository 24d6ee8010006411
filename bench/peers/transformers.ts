/** transformers.js in Node: its own image reading and preprocessing, its ONNX Runtime, in batches. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type PeerPrediction, runPeer } from "./peer.js";

interface Configuration {
  readonly batch: number;
}

/** As much of the package as is used here; it is no dependency of ours. */
interface Transformers {
  readonly env: { allowRemoteModels: boolean; version: string };
  readonly AutoProcessor: { from_pretrained(path: string): Promise<(images: unknown[]) => Promise<unknown>> };
  readonly AutoModel: {
    from_pretrained(path: string, options: { dtype: "fp32" }): Promise<(inputs: unknown) => Promise<Outputs>>;
  };
  readonly RawImage: { read(path: string): Promise<unknown> };
}

interface Outputs {
  readonly logits: { readonly data: Float32Array; readonly dims: readonly number[] };
  readonly image_embeds: { readonly data: Float32Array; readonly dims: readonly number[] };
}

const packages = process.argv[process.argv.indexOf("--packages") + 1] ?? "";
const entry = createRequire(join(packages, "package.json")).resolve("@huggingface/transformers");
const transformers = (await import(pathToFileURL(entry).href)) as Transformers;
transformers.env.allowRemoteModels = false;

const configurations: readonly Configuration[] = [{ batch: 1 }, { batch: 8 }, { batch: 16 }];

await runPeer(configurations, { "@huggingface/transformers": transformers.env.version }, async (args, { batch }) => {
  const directory = join(args.model, "transformers");
  const process = await transformers.AutoProcessor.from_pretrained(directory);
  const network = await transformers.AutoModel.from_pretrained(directory, { dtype: "fp32" });
  return {
    async predict(paths) {
      const predictions: PeerPrediction[] = [];
      for (let first = 0; first < paths.length; first += batch) {
        const some = paths.slice(first, first + batch);
        const images = await Promise.all(some.map((path) => transformers.RawImage.read(path)));
        const { logits, image_embeds } = await network(await process(images));
        for (let i = 0; i < some.length; i += 1)
          predictions.push({ logits: rowOf(logits, i), embedding: rowOf(image_embeds, i) });
      }
      return predictions;
    },
    close: async () => {},
  };
});

function rowOf({ data, dims }: Outputs["logits"], row: number): Float32Array {
  const width = dims[1] ?? 0;
  return data.slice(row * width, (row + 1) * width);
}
