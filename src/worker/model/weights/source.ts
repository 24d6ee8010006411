/**
 * From the tensors of a weight file to `SourceWeights`, which know no file format: every tensor that the spec needs has to
 * be there in its shape, and no other may be. What reads files and finds the spec stands in the files beside.
 */
import { type ConvLayer, layersOf, type ResNetSpec, type TensorShape } from "../spec.js";
import type { SourceConv, SourceWeights } from "./fold.js";
import type { LayerNames, Naming } from "./naming.js";
import { type RawTensor, toFloat32 } from "./raw-tensor.js";
import { matchTensors } from "./tensor.js";

/** Takes the tensors of `spec` by their names in `naming`. Throws an Error that names the tensor that does not fit. */
export function toSource(spec: ResNetSpec, naming: Naming, tensors: Iterable<RawTensor>): SourceWeights {
  const matched = matchTensors(sourceShapesOf(spec, naming), tensors);
  const dataOf = (name: string) => requireFinite(name, toFloat32(matched.get(name) as RawTensor).data);
  const kernelOf = (name: string, sizes: KernelSizes) =>
    naming.outputsLast ? outputsFirst(dataOf(name), sizes) : dataOf(name);
  const { convolutions, embeddingWidth } = layersOf(spec);
  const convs = new Map<string, SourceConv>();
  for (const layer of convolutions) {
    const names = naming.layer(layer.name);
    convs.set(layer.name, {
      kernel: kernelOf(names.kernel, layer),
      bias: spec.convBias ? dataOf(names.bias) : null,
      gamma: dataOf(names.gamma),
      beta: dataOf(names.beta),
      mean: dataOf(names.mean),
      variance: requireVariance(names.variance, dataOf(names.variance)),
    });
  }
  const fc = { kernel: 1, inChannels: embeddingWidth, outChannels: spec.classes };
  return { convs, fcWeight: kernelOf(naming.fcWeight, fc), fcBias: dataOf(naming.fcBias) };
}

function requireFinite(name: string, data: Float32Array): Float32Array {
  const at = data.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return data;
  throw new Error(`tensor ${name} holds a number that is not finite, ${data[at]} at place ${at}`);
}

function requireVariance(name: string, data: Float32Array): Float32Array {
  const at = data.findIndex((value) => value < 0);
  if (at < 0) return data;
  throw new Error(`tensor ${name} holds the variance ${data[at]} at place ${at}, expected none below 0`);
}

function sourceShapesOf(spec: ResNetSpec, naming: Naming): TensorShape[] {
  const { convolutions, embeddingWidth } = layersOf(spec);
  const shapes = convolutions.flatMap((layer) => layerShapes(layer, naming.layer(layer.name), spec, naming));
  const { classes } = spec;
  const fcShape = naming.outputsLast ? [embeddingWidth, classes] : [classes, embeddingWidth];
  shapes.push({ name: naming.fcWeight, shape: fcShape }, { name: naming.fcBias, shape: [classes] });
  return shapes;
}

function layerShapes(
  { kernel, inChannels, outChannels }: ConvLayer,
  names: LayerNames,
  { convBias }: ResNetSpec,
  { outputsLast }: Naming,
): TensorShape[] {
  const perChannel = [names.gamma, names.beta, names.mean, names.variance];
  if (convBias) perChannel.push(names.bias);
  const shape = outputsLast ? [kernel, kernel, inChannels, outChannels] : [outChannels, inChannels, kernel, kernel];
  return [{ name: names.kernel, shape }, ...perChannel.map((name) => ({ name, shape: [outChannels] }))];
}

type KernelSizes = Pick<ConvLayer, "kernel" | "inChannels" | "outChannels">;

/** From `[k, k, in, out]`, TensorFlow's order, to `[out, in, k, k]`. */
function outputsFirst(data: Float32Array, { kernel, inChannels, outChannels }: KernelSizes): Float32Array {
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
