/**
 * A ResNet as data, and the layers that follow from it. It knows no file format and no engine: importers
 * check weights against it, `onnx-graph` turns it into a graph, `summary` counts it.
 *
 * The architecture is He et al., "Deep Residual Learning for Image Recognition" (2015),
 * https://arxiv.org/abs/1512.03385, table 1: a 7x7 stem, a 3x3 max pool, four stages of blocks, a global average pool,
 * one fully connected layer.
 */

/**
 * Where a stage's first block halves the resolution: its first 1x1 convolution (v1, the paper) or its 3x3 one (v1.5).
 */
export type StridePlacement = "first-1x1" | "3x3";

/** Two 3x3 convolutions a block (ResNet-18 and 34), or a 3x3 between two 1x1 (ResNet-50 and deeper): the paper's figure 5. */
export type BlockKind = "basic" | "bottleneck";

/** One stage: how many blocks, and how many channels their 3x3 convolutions have. */
export interface StageSpec {
  readonly blocks: number;
  readonly width: number;
}

/** Everything that tells one ResNet from another. */
export interface ResNetSpec {
  /** Height and width of the input, in pixels. */
  readonly inputSize: number;
  readonly stemWidth: number;
  readonly stages: readonly StageSpec[];
  /** @default "bottleneck", which is all that there was when the first manifests were written */
  readonly block?: BlockKind;
  /** A block puts out `width * expansion` channels. */
  readonly expansion: number;
  /** "3x3" where blocks are basic: their first convolution halves the resolution. */
  readonly stridePlacement: StridePlacement;
  /** Whether the convolutions have biases before batch norm, as in Keras; torchvision's have none. */
  readonly convBias: boolean;
  readonly batchNormEpsilon: number;
  readonly classes: number;
}

/** One convolution; square kernel, square output, zero padding on all sides. */
export interface ConvLayer {
  /** `stem`, or stage, block and role: `stage1.block1.reduce`. */
  readonly name: string;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  /** Height and width of its output. */
  readonly outputSize: number;
}

/** `relu(last(relu(… relu(inner(x)))) + shortcut(x))`; the shortcut is `project`, or x itself. */
export interface Block {
  readonly name: string;
  /** In the order in which they run, each with a ReLU after it. */
  readonly inner: readonly ConvLayer[];
  /** No ReLU before the addition. */
  readonly last: ConvLayer;
  /**
   * 1x1 on the shortcut of a stage's first block; null where x has the shape of the sum: in the other blocks, and in the first
   * stage of basic ones.
   */
  readonly project: ConvLayer | null;
}

/**
 * What a convolution is in its block. Of a bottleneck, in this order: `reduce` is 1x1, down to the stage's width, `spatial`
 * 3x3, `expand` 1x1, up to `width * expansion`. Of a basic block `first` and `second`, both 3x3. `project` is on the shortcut.
 */
export type Role = "reduce" | "spatial" | "expand" | "first" | "second" | "project";

/** The layers of a spec, in the order in which they run. */
export interface ResNetLayers {
  readonly stem: ConvLayer;
  /** Height and width after the 3x3 max pool of stride 2 and padding 1. */
  readonly pooledSize: number;
  readonly blocks: readonly Block[];
  /** Every convolution: the stem, then `inner`, `last` and `project` of each block. */
  readonly convolutions: readonly ConvLayer[];
  readonly embeddingWidth: number;
}

/** Name and shape of one tensor. */
export interface TensorShape {
  readonly name: string;
  readonly shape: readonly number[];
}

/** The layers of `spec`. */
export function layersOf(spec: ResNetSpec): ResNetLayers {
  const stem = convolution("stem", 3, spec.stemWidth, { kernel: 7, stride: 2, inputSize: spec.inputSize });
  const pooledSize = outputSizeOf({ kernel: 3, stride: 2, inputSize: stem.outputSize });
  const blocks: Block[] = [];
  let channels = spec.stemWidth;
  let size = pooledSize;
  for (const [stage, { blocks: count, width }] of spec.stages.entries()) {
    for (let index = 0; index < count; index += 1) {
      const stride = index === 0 && stage > 0 ? 2 : 1;
      const name = `stage${stage + 1}.block${index + 1}`;
      const block = (spec.block === "basic" ? basicBlock : bottleneck)(spec, {
        name,
        width,
        inChannels: channels,
        inputSize: size,
        stride,
        first: index === 0,
      });
      blocks.push(block);
      channels = block.last.outChannels;
      size = block.last.outputSize;
    }
  }
  const convolutions = [stem, ...blocks.flatMap(convolutionsOf)];
  return { stem, pooledSize, blocks, convolutions, embeddingWidth: channels };
}

/**
 * The tensors of `spec` with batch norm folded, in file order: `[out, in, k, k]` weights and `[out]` biases, then `fc`.
 */
export function foldedShapesOf(spec: ResNetSpec): TensorShape[] {
  const { convolutions, embeddingWidth } = layersOf(spec);
  const shapes: TensorShape[] = convolutions.flatMap((conv) => [
    { name: `${conv.name}.weight`, shape: [conv.outChannels, conv.inChannels, conv.kernel, conv.kernel] },
    { name: `${conv.name}.bias`, shape: [conv.outChannels] },
  ]);
  shapes.push({ name: "fc.weight", shape: [spec.classes, embeddingWidth] }, { name: "fc.bias", shape: [spec.classes] });
  return shapes;
}

/** How many numbers a tensor of `shape` holds. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

interface Geometry {
  readonly kernel: number;
  readonly stride: number;
  readonly inputSize: number;
}

interface BlockPlace {
  readonly name: string;
  readonly width: number;
  readonly inChannels: number;
  readonly inputSize: number;
  readonly stride: number;
  readonly first: boolean;
}

function bottleneck(spec: ResNetSpec, { name, width, inChannels, inputSize, stride, first }: BlockPlace): Block {
  const [reduceStride, spatialStride] = spec.stridePlacement === "first-1x1" ? [stride, 1] : [1, stride];
  const outChannels = width * spec.expansion;
  const reduce = convolution(`${name}.reduce`, inChannels, width, { kernel: 1, stride: reduceStride, inputSize });
  const spatial = convolution(`${name}.spatial`, width, width, {
    kernel: 3,
    stride: spatialStride,
    inputSize: reduce.outputSize,
  });
  const expand = convolution(`${name}.expand`, width, outChannels, {
    kernel: 1,
    stride: 1,
    inputSize: spatial.outputSize,
  });
  const project = first
    ? convolution(`${name}.project`, inChannels, outChannels, { kernel: 1, stride, inputSize })
    : null;
  return { name, inner: [reduce, spatial], last: expand, project };
}

function basicBlock(spec: ResNetSpec, { name, width, inChannels, inputSize, stride }: BlockPlace): Block {
  const outChannels = width * spec.expansion;
  const first = convolution(`${name}.first`, inChannels, width, { kernel: 3, stride, inputSize });
  const second = convolution(`${name}.second`, width, outChannels, {
    kernel: 3,
    stride: 1,
    inputSize: first.outputSize,
  });
  const isSameShape = stride === 1 && inChannels === outChannels;
  const project = isSameShape
    ? null
    : convolution(`${name}.project`, inChannels, outChannels, { kernel: 1, stride, inputSize });
  return { name, inner: [first], last: second, project };
}

function convolutionsOf({ inner, last, project }: Block): ConvLayer[] {
  return [...inner, last, ...(project === null ? [] : [project])];
}

function convolution(name: string, inChannels: number, outChannels: number, geometry: Geometry): ConvLayer {
  const { kernel, stride } = geometry;
  const padding = paddingOf(kernel);
  return { name, inChannels, outChannels, kernel, stride, padding, outputSize: outputSizeOf(geometry) };
}

/** Padding that keeps the size at stride 1; also that of Keras's explicit pads around the stem and the pool. */
function paddingOf(kernel: number): number {
  return (kernel - 1) / 2;
}

function outputSizeOf({ kernel, stride, inputSize }: Geometry): number {
  return Math.floor((inputSize + 2 * paddingOf(kernel) - kernel) / stride) + 1;
}
