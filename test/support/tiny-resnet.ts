import { type ConvLayer, layersOf, type ResNetSpec } from "../../src/worker/model/spec.js";
import type { SourceConv, SourceWeights } from "../../src/worker/model/weights/fold.js";

/** Two stages, three blocks, a few hundred numbers: every kind of layer that a ResNet has. */
export const tinySpec: ResNetSpec = {
  inputSize: 32,
  stemWidth: 3,
  stages: [
    { blocks: 2, width: 2 },
    { blocks: 1, width: 3 },
  ],
  expansion: 2,
  stridePlacement: "first-1x1",
  convBias: true,
  batchNormEpsilon: 0.001,
  classes: 5,
};

/** The same of basic blocks, in torchvision's form: the first stage has no convolution on its shortcut, the second has. */
export const tinyBasicSpec: ResNetSpec = {
  ...tinySpec,
  stages: [
    { blocks: 2, width: 3 },
    { blocks: 1, width: 4 },
  ],
  block: "basic",
  expansion: 1,
  stridePlacement: "3x3",
  convBias: false,
  batchNormEpsilon: 1e-5,
};

/** Numbers from -1 to 1, the same for the same seed (the generator of Park and Miller, 1988). */
export function randomNumbers(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state / 2_147_483_647) * 2 - 1;
  });
}

/** Weights of no meaning for `spec`; variances are positive. */
export function randomSource(spec: ResNetSpec): SourceWeights {
  const { convolutions, embeddingWidth } = layersOf(spec);
  return {
    convs: new Map(convolutions.map((layer, index) => [layer.name, randomConv(layer, spec.convBias, index * 10 + 1)])),
    fcWeight: randomNumbers(spec.classes * embeddingWidth, 7001),
    fcBias: randomNumbers(spec.classes, 7002),
  };
}

function randomConv({ inChannels, outChannels, kernel }: ConvLayer, hasBias: boolean, seed: number): SourceConv {
  return {
    kernel: randomNumbers(outChannels * inChannels * kernel * kernel, seed),
    bias: hasBias ? randomNumbers(outChannels, seed + 1) : null,
    gamma: randomNumbers(outChannels, seed + 2).map((value) => 1 + value / 2),
    beta: randomNumbers(outChannels, seed + 3),
    mean: randomNumbers(outChannels, seed + 4),
    variance: randomNumbers(outChannels, seed + 5).map((value) => 1.5 + value),
  };
}
