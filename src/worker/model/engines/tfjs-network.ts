/**
 * A ResNet as a program of TensorFlow.js operators, built from the same spec and folded weights as the ONNX graph. It
 * runs on whichever TensorFlow.js backend its caller has made current, and knows none of them. TensorFlow.js wants images
 * as NHWC and kernels as `[height, width, in, out]`. Padding is spelled out for every side: TensorFlow's "same" would put
 * the odd row of a stride of 2 at the bottom only, and its native backend refuses one number for all sides.
 */
import {
  add,
  backend,
  dispose,
  fused,
  maxPool,
  mean,
  pad,
  relu,
  type Tensor1D,
  type Tensor2D,
  type Tensor4D,
  tensor1d,
  tensor2d,
  tensor4d,
  tidy,
} from "@tensorflow/tfjs-core";
import { adaptStem, type GraphParts, rgbMean } from "../graph-parts.js";
import { type Block, type ConvLayer, layersOf, type ResNetLayers } from "../spec.js";
import type { FoldedWeights, Tensor } from "../weights/tensor.js";
import type { EngineOutput } from "./engine.js";

/** A network whose weights live in the backend. */
export interface TfjsNetwork {
  /** As in the port `Engine`. Leaves no tensor behind, also where it throws. */
  infer(pixels: Uint8Array, n: number): Promise<EngineOutput>;
  /** Frees the weights. */
  dispose(): void;
}

interface ConvTensors {
  readonly filter: Tensor4D;
  readonly bias: Tensor1D;
}

/** The network in the backend's memory. */
interface Program {
  readonly layers: ResNetLayers;
  /** By the layer's name. */
  readonly convs: ReadonlyMap<string, ConvTensors>;
  /**
   * `[embeddingWidth, classes]`, turned over at load: the WebAssembly backend of 4.22 reads memory that it never wrote where a
   * fused product transposes its second operand and adds a bias (4x2048 by 1000x2048: every number wrong).
   */
  readonly fcWeight: Tensor2D;
  readonly fcBias: Tensor1D;
}

/** Copies the weights into the current backend. The caller disposes of the network. */
export function buildTfjsNetwork({ spec, preprocess, weights }: GraphParts): TfjsNetwork {
  const layers = layersOf(spec);
  const convs = new Map(
    layers.convolutions.map(({ name }) => {
      const kernel = tensorOf(weights, `${name}.weight`);
      const filter = filterOf(name === layers.stem.name ? adaptStem(kernel, preprocess) : kernel);
      return [name, { filter, bias: tensor1d(tensorOf(weights, `${name}.bias`).data) }];
    }),
  );
  const fcWeight = transposed(tensorOf(weights, "fc.weight"));
  const fcBias = tensor1d(tensorOf(weights, "fc.bias").data);
  const program: Program = { layers, convs, fcWeight, fcBias };
  const centre = createCentring(rgbMean(preprocess));
  return {
    infer: (pixels, n) => infer(program, centre(pixels), [n, spec.inputSize, spec.inputSize, 3]),
    dispose: () => dispose([fcWeight, fcBias, ...[...convs.values()].flatMap(({ filter, bias }) => [filter, bias])]),
  };
}

async function infer(
  program: Program,
  images: Float32Array,
  shape: [number, number, number, number],
): Promise<EngineOutput> {
  const outputs = tidy(() => run(program, tensor4d(images, shape)));
  try {
    const [embeddings, logits] = await Promise.all([read(outputs.embeddings), read(outputs.logits)]);
    return { embeddings, logits };
  } finally {
    dispose([outputs.embeddings, outputs.logits]);
  }
}

/**
 * The tensor's values, of the backend itself: what `Tensor.data` of 4.22 gives (the same values) is collected by none of V8's short
 * collections, and the 12 kB of each image lay about until the next whole one, thousands of images later.
 */
async function read({ dataId }: Tensor2D): Promise<Float32Array> {
  return (await backend().read(dataId)) as Float32Array;
}

function run(program: Program, images: Tensor4D): { embeddings: Tensor2D; logits: Tensor2D } {
  const { layers, fcWeight, fcBias } = program;
  let value = runStem(program, images);
  for (const block of layers.blocks) value = runBlock(program, block, value);
  const embeddings = mean(value, [1, 2]) as Tensor2D;
  const logits = fused.matMul({ a: embeddings, b: fcWeight, bias: fcBias }) as Tensor2D;
  return { embeddings, logits };
}

/** Zeros are neutral to a maximum after ReLU, so they may be put there first: the native backend pads no pooling itself. */
function runStem(program: Program, images: Tensor4D): Tensor4D {
  return tidy(() => maxPool(pad(conv(program, program.layers.stem, images, "relu"), padding4d(1)), 3, 2, "valid"));
}

/** Tidied by itself, so that no more than one block's activations are alive at once. */
function runBlock(program: Program, { inner, last, project }: Block, input: Tensor4D): Tensor4D {
  return tidy(() => {
    const branch = inner.reduce((value, layer) => conv(program, layer, value, "relu"), input);
    const shortcut = project === null ? input : conv(program, project, input, "linear");
    return relu(add<Tensor4D>(conv(program, last, branch, "linear"), shortcut));
  });
}

function conv(
  { convs }: Program,
  { name, stride, padding }: ConvLayer,
  x: Tensor4D,
  activation: "relu" | "linear",
): Tensor4D {
  return fused.conv2d({ x, ...(convs.get(name) as ConvTensors), strides: stride, pad: padding4d(padding), activation });
}

/** `size` rows and columns before and after, in each image and channel. */
const padding4d = (size: number): [[number, number], [number, number], [number, number], [number, number]] => [
  [0, 0],
  [size, size],
  [size, size],
  [0, 0],
];

/**
 * Gives the values of pixels, RGB, less the mean, in memory that the next call writes over: the backend has copied it by the
 * end of a model call, and memory of its own for every batch would be freed only when V8 collects.
 */
function createCentring([red = 0, green = 0, blue = 0]: readonly number[]): (pixels: Uint8Array) => Float32Array {
  let memory = new Float32Array(0);
  return (pixels) => {
    if (memory.length < pixels.length) memory = new Float32Array(pixels.length);
    for (let index = 0; index < pixels.length; index += 3) {
      memory[index] = (pixels[index] as number) - red;
      memory[index + 1] = (pixels[index + 1] as number) - green;
      memory[index + 2] = (pixels[index + 2] as number) - blue;
    }
    return memory.subarray(0, pixels.length);
  };
}

/** `[out, in, height, width]` as `[height, width, in, out]`. */
function filterOf({ shape, data }: Tensor): Tensor4D {
  const [outChannels = 0, inChannels = 0, height = 0, width = 0] = shape;
  const area = height * width;
  const moved = new Float32Array(data.length);
  for (let plane = 0; plane < outChannels * inChannels; plane += 1) {
    const [out, channel] = [Math.floor(plane / inChannels), plane % inChannels];
    for (let place = 0; place < area; place += 1) {
      moved[(place * inChannels + channel) * outChannels + out] = data[plane * area + place] as number;
    }
  }
  return tensor4d(moved, [height, width, inChannels, outChannels]);
}

function transposed({ shape, data }: Tensor): Tensor2D {
  const [rows = 0, columns = 0] = shape;
  const turned = Float32Array.from(data, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] as number);
  return tensor2d(turned, [columns, rows]);
}

function tensorOf(weights: FoldedWeights, name: string): Tensor {
  const tensor = weights.get(name);
  if (tensor === undefined) throw new Error(`tensor ${name} is missing`);
  return tensor;
}
