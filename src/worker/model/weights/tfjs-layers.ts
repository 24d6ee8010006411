/**
 * Reads a TensorFlow.js layers model (`model.json` and its shards, as tensorflowjs_converter writes them;
 * https://www.tensorflow.org/js/guide/save_load#modeljson) that holds a ResNet with the layer names of Keras's first
 * ResNet-50: `conv1`, `bn_conv1`, `res2a_branch2a`, `bn2a_branch2a`, …, `fc1000`. Only weights are read; the layers
 * follow from the spec. Strict: every tensor of the file must be expected, and every expected one there. `pull` calls
 * it.
 */
import { posix } from "node:path";
import { LabelmillError, messageOf } from "../../../shared/errors.js";
import { type ConvLayer, elementCount, layersOf, type ResNetSpec, type TensorShape } from "../spec.js";
import type { SourceConv, SourceWeights } from "./fold.js";
import { matchTensors, type Tensor } from "./tensor.js";

/** Where a layers model is, and what it should hold. */
export interface TfjsLayersSource {
  /** Named in errors. */
  readonly model: string;
  readonly spec: ResNetSpec;
  /** Reads one file of the model's directory, given its plain name. */
  readonly readFile: (name: string) => Promise<Uint8Array>;
}

interface ManifestWeight extends TensorShape {
  readonly dtype: string;
  readonly quantization?: unknown;
}

interface WeightsGroup {
  readonly paths: readonly string[];
  readonly weights: readonly ManifestWeight[];
}

/** Names that Keras gives to one convolution of the spec and to its batch norm. */
interface KerasNames {
  readonly conv: string;
  readonly norm: string;
}

/** Imports the model in `source`. Throws MODEL_INVALID, naming the tensor or file that is not as it should be. */
export async function importTfjsLayers({ model, spec, readFile }: TfjsLayersSource): Promise<SourceWeights> {
  try {
    const tensors: Tensor[] = [];
    for (const group of parseManifest(await readFile("model.json")))
      tensors.push(...(await readGroup(group, readFile)));
    return toSource(spec, matchTensors(kerasShapesOf(spec), tensors));
  } catch (error) {
    throw new LabelmillError("MODEL_INVALID", { name: model, reason: messageOf(error) }, { cause: error });
  }
}

function parseManifest(json: Uint8Array): readonly WeightsGroup[] {
  const parsed: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  const groups = (parsed as { weightsManifest?: unknown } | null)?.weightsManifest;
  if (!Array.isArray(groups) || !groups.every(isGroup)) throw new Error("model.json has no usable weightsManifest");
  return groups;
}

function isGroup(value: unknown): value is WeightsGroup {
  const { paths, weights } = (value ?? {}) as Partial<Record<keyof WeightsGroup, unknown>>;
  const isPlainName = (path: unknown) => typeof path === "string" && path !== "" && posix.basename(path) === path;
  return Array.isArray(paths) && paths.every(isPlainName) && Array.isArray(weights) && weights.every(isWeight);
}

function isWeight(value: unknown): value is ManifestWeight {
  const { name, shape, dtype } = (value ?? {}) as Partial<Record<keyof ManifestWeight, unknown>>;
  const isSize = (size: unknown) => Number.isSafeInteger(size) && (size as number) > 0;
  return typeof name === "string" && typeof dtype === "string" && Array.isArray(shape) && shape.every(isSize);
}

/** The group's shards are one byte string, in which its tensors lie end to end. */
async function readGroup({ paths, weights }: WeightsGroup, readFile: TfjsLayersSource["readFile"]): Promise<Tensor[]> {
  const shards: Uint8Array[] = [];
  for (const path of paths) shards.push(await readFile(path));
  const bytes = concatenate(shards);
  let offset = 0;
  const tensors = weights.map(({ name, shape, dtype, quantization }): Tensor => {
    if (dtype !== "float32" || quantization !== undefined) {
      throw new Error(`tensor ${name} is ${quantization === undefined ? dtype : "quantised"}, expected float32`);
    }
    const count = elementCount(shape);
    if (offset + count * 4 > bytes.byteLength) throw new Error(`the shards end inside tensor ${name}`);
    const data = new Float32Array(bytes.buffer, offset, count);
    offset += count * 4;
    return { name, shape, data };
  });
  if (offset !== bytes.byteLength)
    throw new Error(`${bytes.byteLength - offset} bytes follow tensor ${weights.at(-1)?.name ?? "(none)"}`);
  return tensors;
}

function concatenate(shards: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(shards.reduce((sum, shard) => sum + shard.byteLength, 0));
  let offset = 0;
  for (const shard of shards) {
    bytes.set(shard, offset);
    offset += shard.byteLength;
  }
  return bytes;
}

/** `stage1.block1.reduce` is `res2a_branch2a`: stages count from 2, blocks from a, and branch 1 is the shortcut. */
function kerasNamesOf({ name }: ConvLayer): KerasNames {
  if (name === "stem") return { conv: "conv1", norm: "bn_conv1" };
  const match = /^stage(\d+)\.block(\d+)\.(\w+)$/.exec(name);
  const branch = { reduce: "2a", spatial: "2b", expand: "2c", project: "1" }[match?.[3] ?? ""];
  if (match === null || branch === undefined) throw new Error(`layer ${name} has no name in Keras`);
  const block = String.fromCharCode("a".charCodeAt(0) + Number(match[2]) - 1);
  const place = `${Number(match[1]) + 1}${block}_branch${branch}`;
  return { conv: `res${place}`, norm: `bn${place}` };
}

function kerasShapesOf(spec: ResNetSpec): TensorShape[] {
  const { convolutions, embeddingWidth } = layersOf(spec);
  const shapes = convolutions.flatMap((layer): TensorShape[] => {
    const { conv, norm } = kerasNamesOf(layer);
    const perChannel = [`${norm}/gamma`, `${norm}/beta`, `${norm}/moving_mean`, `${norm}/moving_variance`];
    if (spec.convBias) perChannel.push(`${conv}/bias`);
    return [
      { name: `${conv}/kernel`, shape: [layer.kernel, layer.kernel, layer.inChannels, layer.outChannels] },
      ...perChannel.map((name) => ({ name, shape: [layer.outChannels] })),
    ];
  });
  shapes.push(
    { name: "fc1000/kernel", shape: [embeddingWidth, spec.classes] },
    { name: "fc1000/bias", shape: [spec.classes] },
  );
  return shapes;
}

function toSource(spec: ResNetSpec, tensors: ReadonlyMap<string, Tensor>): SourceWeights {
  const dataOf = (name: string) => (tensors.get(name) as Tensor).data;
  const { convolutions, embeddingWidth } = layersOf(spec);
  const convs = new Map<string, SourceConv>();
  for (const layer of convolutions) {
    const { conv, norm } = kerasNamesOf(layer);
    convs.set(layer.name, {
      kernel: outputsFirst(dataOf(`${conv}/kernel`), layer),
      bias: spec.convBias ? dataOf(`${conv}/bias`) : null,
      gamma: dataOf(`${norm}/gamma`),
      beta: dataOf(`${norm}/beta`),
      mean: dataOf(`${norm}/moving_mean`),
      variance: dataOf(`${norm}/moving_variance`),
    });
  }
  const fc = { kernel: 1, inChannels: embeddingWidth, outChannels: spec.classes };
  return { convs, fcWeight: outputsFirst(dataOf("fc1000/kernel"), fc), fcBias: dataOf("fc1000/bias") };
}

/** From `[k, k, in, out]`, TensorFlow's order, to `[out, in, k, k]`. */
function outputsFirst(
  data: Float32Array,
  { kernel, inChannels, outChannels }: Pick<ConvLayer, "kernel" | "inChannels" | "outChannels">,
): Float32Array {
  const area = kernel * kernel;
  const moved = new Float32Array(data.length);
  let from = 0;
  for (let pixel = 0; pixel < area; pixel += 1) {
    for (let input = 0; input < inChannels; input += 1) {
      for (let output = 0; output < outChannels; output += 1) {
        moved[(output * inChannels + input) * area + pixel] = data[from] as number;
        from += 1;
      }
    }
  }
  return moved;
}
