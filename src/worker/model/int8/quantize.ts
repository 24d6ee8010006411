/**
 * The arithmetic of static int8, after Jacob et al. 2018 (https://arxiv.org/abs/1712.05877) and the ONNX operators
 * QuantizeLinear and DequantizeLinear: `real = scale * (integer - zeroPoint)`. Activations are uint8 with one range a
 * tensor; weights are int8, symmetric, with one scale an output channel; biases are int32 in units of input scale times
 * weight scale. It knows no graph. Every step is fixed by IEEE 754, so all machines make the same integers.
 */
import type { Tensor } from "../weights/tensor.js";

/** Smallest and largest value of an activation tensor that its integers can express. */
export type Range = readonly [min: number, max: number];

/** How uint8 stands for reals. */
export interface UnsignedScale {
  /** A float32. */
  readonly scale: number;
  readonly zeroPoint: number;
}

/** A weight tensor as integers; output channels first. */
export interface QuantizedWeight {
  readonly data: Int8Array;
  /** One an output channel. */
  readonly scales: Float32Array;
}

const unsignedSteps = 255;
const int32Limit = 2 ** 31 - 1;

/** Scale and zero point for `range`, widened to hold 0 exactly, which padding and ReLU need. */
export function unsignedScaleOf([min, max]: Range): UnsignedScale {
  const [low, high] = [Math.min(0, min), Math.max(0, max)];
  // A tensor that is 0 throughout has no width; any scale expresses it.
  const scale = Math.fround((high - low) / unsignedSteps) || 1;
  return { scale, zeroPoint: Math.min(unsignedSteps, Math.max(0, Math.round(-low / scale))) };
}

/** The same after a ReLU: 0 is the least, so that what is negative becomes 0. */
export function positiveScaleOf([, max]: Range): UnsignedScale {
  return unsignedScaleOf([0, max]);
}

/** The nearest integers from -`limit` to `limit`, each channel on a scale of its own. */
export function quantizeWeight({ shape, data }: Tensor, limit: number): QuantizedWeight {
  const channels = shape[0] ?? 0;
  const perChannel = data.length / channels;
  const scales = new Float32Array(channels);
  const quantized = new Int8Array(data.length);
  for (let channel = 0; channel < channels; channel += 1) {
    const from = channel * perChannel;
    let largest = 0;
    for (let i = from; i < from + perChannel; i += 1) largest = Math.max(largest, Math.abs(data[i] as number));
    const scale = Math.fround(largest / limit) || 1;
    scales[channel] = scale;
    for (let i = from; i < from + perChannel; i += 1) {
      quantized[i] = Math.max(-limit, Math.min(limit, Math.round((data[i] as number) / scale)));
    }
  }
  return { data: quantized, scales };
}

/** Biases as int32 in units of `scales`: the input's scale times the weights', channel by channel. */
export function quantizeBias(
  bias: Float32Array,
  inputScale: number,
  weightScales: Float32Array,
): { readonly data: Int32Array; readonly scales: Float32Array } {
  const scales = weightScales.map((scale) => scale * inputScale);
  const data = Int32Array.from(bias, (value, channel) => {
    const units = Math.round(value / (scales[channel] as number));
    return Math.max(-int32Limit, Math.min(int32Limit, units));
  });
  return { data, scales };
}
