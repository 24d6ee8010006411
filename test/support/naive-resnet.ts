/**
 * A ResNet in plain loops and float64, with batch norm as its own step: written from the definitions, not from the graph
 * builder, so that the two can be compared.
 */
import type { Preprocess } from "../../src/worker/model/preprocess.js";
import { type ConvLayer, layersOf, type ResNetSpec } from "../../src/worker/model/spec.js";
import type { SourceConv, SourceWeights } from "../../src/worker/model/weights/fold.js";

/** `[channel][y][x]`. */
type Image = number[][][];

/** Embedding and logits of one image, `[size, size, 3]` RGB. */
export function naiveResNet(spec: ResNetSpec, source: SourceWeights, preprocess: Preprocess, pixels: Uint8Array) {
  const { stem, blocks } = layersOf(spec);
  const layer = (conv: ConvLayer, input: Image) => normalise(spec, convOf(source, conv), convolve(conv, source, input));
  let image = maxPool(relu(layer(stem, toImage(spec.inputSize, preprocess, pixels))));
  for (const { inner, last, project } of blocks) {
    const shortcut = project === null ? image : layer(project, image);
    const branch = inner.reduce((before, conv) => relu(layer(conv, before)), image);
    const expanded = layer(last, branch);
    image = relu(expanded.map((plane, c) => plane.map((row, y) => row.map((v, x) => v + at(shortcut, c, y, x)))));
  }
  const embedding = image.map((plane) => plane.flat().reduce((sum, value) => sum + value, 0) / plane.flat().length);
  const logits = Array.from(source.fcBias, (bias, out) =>
    embedding.reduce((sum, value, i) => sum + value * (source.fcWeight[out * embedding.length + i] as number), bias),
  );
  return { embedding, logits };
}

function toImage(size: number, { channelOrder, mean, std }: Preprocess, pixels: Uint8Array): Image {
  return [0, 1, 2].map((channel) => {
    const rgb = channelOrder === "RGB" ? channel : 2 - channel;
    const value = (y: number, x: number) => pixels[(y * size + x) * 3 + rgb] as number;
    return grid(size, (y, x) => (value(y, x) - (mean[channel] as number)) / (std[channel] as number));
  });
}

function convolve(layer: ConvLayer, source: SourceWeights, input: Image): Image {
  const { inChannels, outChannels, kernel, stride, padding, outputSize } = layer;
  const weights = convOf(source, layer).kernel;
  return Array.from({ length: outChannels }, (_, out) =>
    grid(outputSize, (y, x) => {
      let sum = 0;
      for (let c = 0; c < inChannels; c += 1) {
        for (let ky = 0; ky < kernel; ky += 1) {
          for (let kx = 0; kx < kernel; kx += 1) {
            const weight = weights[((out * inChannels + c) * kernel + ky) * kernel + kx] as number;
            sum += weight * at(input, c, y * stride + ky - padding, x * stride + kx - padding);
          }
        }
      }
      return sum;
    }),
  );
}

function normalise(spec: ResNetSpec, conv: SourceConv, input: Image): Image {
  return input.map((plane, c) => {
    const of = (values: Float32Array) => values[c] as number;
    const bias = conv.bias === null ? 0 : of(conv.bias);
    const deviation = Math.sqrt(of(conv.variance) + spec.batchNormEpsilon);
    return plane.map((row) =>
      row.map((v) => (of(conv.gamma) * (v + bias - of(conv.mean))) / deviation + of(conv.beta)),
    );
  });
}

function maxPool(input: Image): Image {
  const size = Math.ceil((input[0] as number[][]).length / 2);
  const window = [-1, 0, 1];
  return input.map((_, c) =>
    grid(size, (y, x) => Math.max(...window.flatMap((dy) => window.map((dx) => at(input, c, 2 * y + dy, 2 * x + dx))))),
  );
}

function relu(input: Image): Image {
  return input.map((plane) => plane.map((row) => row.map((value) => Math.max(0, value))));
}

function grid(size: number, value: (y: number, x: number) => number): number[][] {
  return Array.from({ length: size }, (_, y) => Array.from({ length: size }, (__, x) => value(y, x)));
}

/** Zero outside: the padding. */
function at(image: Image, channel: number, y: number, x: number): number {
  return image[channel]?.[y]?.[x] ?? 0;
}

function convOf(source: SourceWeights, { name }: ConvLayer): SourceConv {
  const conv = source.convs.get(name);
  if (conv === undefined) throw new Error(`no weights for ${name}`);
  return conv;
}
