/**
 * A ResNet in int8, in plain loops over integers: written from the definition of quantised arithmetic (Jacob et al. 2018,
 * https://arxiv.org/abs/1712.05877, section 2), not from the graph builder, so that the two can be compared.
 */
import type { Preprocess } from "../../src/worker/model/preprocess.js";
import { type ConvLayer, layersOf, type ResNetSpec } from "../../src/worker/model/spec.js";
import type { FoldedWeights } from "../../src/worker/model/weights/tensor.js";

/** Integers `[channel][y][x]`; the real is `scale * (integer - zero)`. */
interface Integers {
  readonly planes: number[][][];
  readonly scale: number;
  readonly zero: number;
}

export interface NaiveInt8 {
  readonly spec: ResNetSpec;
  readonly weights: FoldedWeights;
  readonly preprocess: Preprocess;
  readonly ranges: ReadonlyMap<string, readonly [number, number]>;
  readonly weightLimit: number;
}

/** Embedding and logits of one image, `[size, size, 3]` RGB. */
export function naiveInt8(model: NaiveInt8, pixels: Uint8Array) {
  const { stem, blocks } = layersOf(model.spec);
  const quantize = (name: string, isPositive: boolean, reals: number[][][]): Integers => {
    const [low, high] = model.ranges.get(name) as [number, number];
    const from = isPositive ? 0 : Math.min(0, low);
    const scale = (Math.max(0, high) - from) / 255;
    const zero = Math.round(-from / scale);
    const toInteger = (real: number) => Math.max(0, Math.min(255, Math.round(real / scale) + zero));
    return { planes: reals.map((plane) => plane.map((row) => row.map(toInteger))), scale, zero };
  };
  const conv = (layer: ConvLayer, input: Integers, isPositive: boolean) =>
    quantize(layer.name, isPositive, convolve(model, layer, input));

  const first = quantize(stem.name, true, convolveImage(model, stem, pixels));
  let value: Integers = { ...first, planes: maxPool(first.planes) };
  let last: number[][][] = [];
  for (const { name, inner, last: final, project } of blocks) {
    const within = inner.reduce((before, layer) => conv(layer, before, true), value);
    const branch = realsOf(conv(final, within, false));
    const shortcut = realsOf(project === null ? value : conv(project, value, false));
    last = branch.map((plane, c) =>
      plane.map((row, y) => row.map((real, x) => Math.max(0, real + at(shortcut, c, y, x)))),
    );
    value = quantize(`${name}.sum`, true, last);
  }
  const embedding = last.map((plane) => plane.flat().reduce((sum, real) => sum + real, 0) / plane.flat().length);
  const [fcWeight, fcBias] = [dataOf(model, "fc.weight"), dataOf(model, "fc.bias")];
  const logits = Array.from(fcBias, (bias, out) =>
    embedding.reduce((sum, real, i) => sum + real * (fcWeight[out * embedding.length + i] as number), bias),
  );
  return { embedding, logits };
}

function dataOf({ weights }: NaiveInt8, name: string): Float32Array {
  return weights.get(name)?.data as Float32Array;
}

function realsOf({ planes, scale, zero }: Integers): number[][][] {
  return planes.map((plane) => plane.map((row) => row.map((integer) => scale * (integer - zero))));
}

/** One output channel's weights as integers, and their scale. */
function channelOf(model: NaiveInt8, { name, inChannels, kernel }: ConvLayer, out: number) {
  const count = inChannels * kernel * kernel;
  const reals = Array.from(dataOf(model, `${name}.weight`).subarray(out * count, (out + 1) * count));
  const scale = Math.max(...reals.map(Math.abs)) / model.weightLimit;
  return { integers: reals.map((real) => Math.round(real / scale)), scale };
}

function convolve(model: NaiveInt8, layer: ConvLayer, { planes, scale, zero }: Integers): number[][][] {
  const { inChannels, outChannels, kernel, stride, padding, outputSize } = layer;
  return Array.from({ length: outChannels }, (_, out) => {
    const weight = channelOf(model, layer, out);
    const unit = scale * weight.scale;
    const bias = Math.round((dataOf(model, `${layer.name}.bias`)[out] as number) / unit);
    return grid(outputSize, (y, x) => {
      let sum = bias;
      for (let c = 0; c < inChannels; c += 1) {
        for (let ky = 0; ky < kernel; ky += 1) {
          for (let kx = 0; kx < kernel; kx += 1) {
            const integer = at(planes, c, y * stride + ky - padding, x * stride + kx - padding, zero) - zero;
            sum += integer * (weight.integers[(c * kernel + ky) * kernel + kx] as number);
          }
        }
      }
      return sum * unit;
    });
  });
}

/** The stem: quantised weights on pixels less their mean, with a border of rounded means; the bias stays real. */
function convolveImage(model: NaiveInt8, layer: ConvLayer, pixels: Uint8Array): number[][][] {
  const { outChannels, kernel, stride, padding, outputSize } = layer;
  const { spec, preprocess } = model;
  const { mean, std, channelOrder } = preprocess;
  const order = channelOrder === "RGB" ? [0, 1, 2] : [2, 1, 0];
  const greys = order.map((rgb) =>
    grid(spec.inputSize, (y, x) => pixels[(y * spec.inputSize + x) * 3 + rgb] as number),
  );
  // The preprocessing's scale is part of the weights before they are quantised.
  const scaled = new Map(model.weights);
  const weight = model.weights.get(`${layer.name}.weight`) as { name: string; shape: number[]; data: Float32Array };
  const data = weight.data.map((value, i) => value / (std[Math.floor(i / kernel ** 2) % 3] as number));
  scaled.set(weight.name, { ...weight, data });
  return Array.from({ length: outChannels }, (_, out) => {
    const { integers, scale } = channelOf({ ...model, weights: scaled }, layer, out);
    return grid(outputSize, (y, x) => {
      let sum = 0;
      for (let c = 0; c < 3; c += 1) {
        const centre = mean[c] as number;
        for (let ky = 0; ky < kernel; ky += 1) {
          for (let kx = 0; kx < kernel; kx += 1) {
            const grey = at(greys, c, y * stride + ky - padding, x * stride + kx - padding, Math.round(centre));
            sum += (grey - centre) * (integers[(c * kernel + ky) * kernel + kx] as number);
          }
        }
      }
      return sum * scale + (dataOf(model, `${layer.name}.bias`)[out] as number);
    });
  });
}

function maxPool(planes: number[][][]): number[][][] {
  const size = Math.ceil((planes[0] as number[][]).length / 2);
  const window = [-1, 0, 1];
  return planes.map((_, c) =>
    grid(size, (y, x) =>
      Math.max(...window.flatMap((dy) => window.map((dx) => at(planes, c, 2 * y + dy, 2 * x + dx)))),
    ),
  );
}

function grid(size: number, value: (y: number, x: number) => number): number[][] {
  return Array.from({ length: size }, (_, y) => Array.from({ length: size }, (__, x) => value(y, x)));
}

function at(planes: number[][][], c: number, y: number, x: number, outside = 0): number {
  return planes[c]?.[y]?.[x] ?? outside;
}
