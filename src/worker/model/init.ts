/**
 * `models init`: a ResNet of fresh weights, distributed as torchvision's `resnet50(weights=None)` draws them, from a
 * generator of our own: the same seed gives the same digest on every machine, but not PyTorch's numbers.
 */
import { type Architecture, torchvisionSpec } from "./architectures.js";
import type { SpecModel } from "./catalog.js";
import { architectureOf, defaultLabels, type InstalledModel, installModel, requireFreeName } from "./install.js";
import { torchvisionPreprocess } from "./preprocess.js";
import { type ConvLayer, layersOf, type ResNetSpec } from "./spec.js";
import { foldWeights, type SourceConv, type SourceWeights } from "./weights/fold.js";
import { createRandom, type Random } from "./weights/random.js";

export interface InitOptions {
  readonly cacheDir: string;
  readonly name: string;
  readonly architecture: Architecture;
  /** An integer from 0 to 2^32 - 1. */
  readonly seed: number;
}

/** Makes the model and puts it into the cache. Throws MODEL_NAME. */
export async function initModel({
  cacheDir,
  name,
  architecture,
  seed,
}: InitOptions): Promise<InstalledModel<SpecModel>> {
  await requireFreeName(cacheDir, name);
  const spec = torchvisionSpec(architecture);
  return installModel(cacheDir, {
    name,
    title: `${architectureOf(spec)}, untrained, of seed ${seed}`,
    spec,
    preprocess: torchvisionPreprocess,
    labels: defaultLabels(spec),
    source: `init ${architecture} ${seed}`,
    sourceSha256: null,
    weights: foldWeights(spec, freshWeights(spec, createRandom(seed))),
  });
}

/**
 * Convolutions: normal, of variance 2 / (k * k * outputs) (He et al. 2015, https://arxiv.org/abs/1502.01852, fan out);
 * batch norm passes its input; the last layer: uniform below 1 / sqrt(inputs), torch.nn.Linear's default.
 */
export function freshWeights(spec: ResNetSpec, random: Random): SourceWeights {
  const { convolutions, embeddingWidth } = layersOf(spec);
  const convs = new Map(convolutions.map((layer) => [layer.name, freshConv(layer, random)]));
  const bound = 1 / Math.sqrt(embeddingWidth);
  const uniform = (count: number) => Float32Array.from({ length: count }, () => (random.uniform() * 2 - 1) * bound);
  return { convs, fcWeight: uniform(spec.classes * embeddingWidth), fcBias: uniform(spec.classes) };
}

function freshConv({ inChannels, outChannels, kernel }: ConvLayer, random: Random): SourceConv {
  const deviation = Math.sqrt(2 / (kernel * kernel * outChannels));
  const weights = new Float32Array(outChannels * inChannels * kernel * kernel);
  for (let index = 0; index < weights.length; index += 1) weights[index] = random.normal() * deviation;
  const [zeros, ones] = [new Float32Array(outChannels), new Float32Array(outChannels).fill(1)];
  return { kernel: weights, bias: null, gamma: ones, beta: zeros, mean: zeros, variance: ones };
}
