import type { Preprocess } from "./preprocess.js";
import type { ResNetSpec } from "./spec.js";
import type { FoldedWeights, Tensor } from "./weights/tensor.js";

/** What every engine builds its network from: one description, several executors. */
export interface GraphParts {
  readonly spec: ResNetSpec;
  readonly preprocess: Preprocess;
  readonly weights: FoldedWeights;
}

/**
 * What is subtracted from RGB pixels of 0 to 255 before the stem, red first. The mean cannot go into the stem's bias:
 * the zeros of padding stand for it.
 */
export function rgbMean({ mean, channelOrder }: Preprocess): readonly number[] {
  return channelOrder === "RGB" ? mean : mean.toReversed();
}

/**
 * The stem's weights, `[out, 3, k, k]`, for centred RGB input instead of scaled input in the model's own channel order.
 */
export function adaptStem({ name, shape, data }: Tensor, { channelOrder, std }: Preprocess): Tensor {
  const [outChannels = 0, inChannels = 0, height = 0, width = 0] = shape;
  const area = height * width;
  const adapted = new Float32Array(data.length);
  for (let plane = 0; plane < outChannels * inChannels; plane += 1) {
    const channel = plane % inChannels;
    const target = plane - channel + (channelOrder === "RGB" ? channel : inChannels - 1 - channel);
    const scale = std[channel] as number;
    for (let pixel = 0; pixel < area; pixel += 1) {
      adapted[target * area + pixel] = (data[plane * area + pixel] as number) / scale;
    }
  }
  return { name, shape, data: adapted };
}
