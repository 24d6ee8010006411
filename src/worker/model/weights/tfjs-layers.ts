/**
 * Reads a TensorFlow.js layers model (`model.json` and its shards, as tensorflowjs_converter writes them;
 * https://www.tensorflow.org/js/guide/save_load#modeljson) that holds a ResNet with the layer names of Keras's first
 * ResNet-50: `conv1`, `bn_conv1`, `res2a_branch2a`, `bn2a_branch2a`, …, `fc1000`. Only weights are read; the layers
 * follow from the spec. Strict: every tensor of the file must be expected, and every expected one there. `pull` calls
 * it.
 */
import { posix } from "node:path";
import { LabelmillError, messageOf } from "../../../shared/errors.js";
import { elementCount, type ResNetSpec, type TensorShape } from "../spec.js";
import type { SourceWeights } from "./fold.js";
import { keras } from "./naming.js";
import type { RawTensor } from "./raw-tensor.js";
import { toSource } from "./source.js";

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

/** Imports the model in `source`. Throws MODEL_INVALID, naming the tensor or file that is not as it should be. */
export async function importTfjsLayers({ model, spec, readFile }: TfjsLayersSource): Promise<SourceWeights> {
  try {
    return toSource(spec, keras, await readTfjsLayers(readFile));
  } catch (error) {
    throw new LabelmillError("MODEL_INVALID", { name: model, reason: messageOf(error) }, { cause: error });
  }
}

/** Every tensor of a layers model, whatever it is. Throws an Error that names the tensor or file that is wrong. */
export async function readTfjsLayers(readFile: TfjsLayersSource["readFile"]): Promise<RawTensor[]> {
  const tensors: RawTensor[] = [];
  for (const group of parseManifest(await readFile("model.json"))) tensors.push(...(await readGroup(group, readFile)));
  return tensors;
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
async function readGroup(
  { paths, weights }: WeightsGroup,
  readFile: TfjsLayersSource["readFile"],
): Promise<RawTensor[]> {
  const shards: Uint8Array[] = [];
  for (const path of paths) shards.push(await readFile(path));
  const bytes = concatenate(shards);
  let offset = 0;
  const tensors = weights.map(({ name, shape, dtype, quantization }): RawTensor => {
    if (dtype !== "float32" || quantization !== undefined) {
      throw new Error(`tensor ${name} is ${quantization === undefined ? dtype : "quantised"}, expected float32`);
    }
    const end = offset + elementCount(shape) * 4;
    if (end > bytes.byteLength) throw new Error(`the shards end inside tensor ${name}`);
    const data = bytes.subarray(offset, end);
    offset = end;
    return { name, shape, dtype: "F32", bytes: data };
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
