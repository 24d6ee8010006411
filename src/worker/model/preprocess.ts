import { createHash } from "node:crypto";

/** Rows and columns of an image as every model here takes it. */
export const inputSize = 224;

/** How an image becomes a model's input. Part of a run's identity: other values give other labels. */
export interface Preprocess {
  /** The image is scaled, keeping its shape, until its shorter side has this many pixels. */
  readonly shortestSide: number;
  /** Then the middle square of this size, `inputSize`, is cut out. */
  readonly cropSize: number;
  /** Resampling kernel, by the name that sharp gives it. */
  readonly kernel: "linear" | "cubic" | "lanczos3";
  /** Order in which the model's first convolution takes the channels; images are always decoded to RGB. */
  readonly channelOrder: "RGB" | "BGR";
  /** Subtracted from values of 0 to 255, in `channelOrder`. */
  readonly mean: readonly [number, number, number];
  /** What the difference is divided by, in `channelOrder`. */
  readonly std: readonly [number, number, number];
}

/**
 * What torchvision trains and tests its classifiers with: `Resize(256)`, `CenterCrop(224)`, `Normalize` of pixels from 0 to
 * 1 (https://docs.pytorch.org/vision/stable/models.html); here for pixels of 0 to 255.
 */
export const torchvisionPreprocess: Preprocess = {
  shortestSide: 256,
  cropSize: inputSize,
  kernel: "linear",
  channelOrder: "RGB",
  mean: [0.485 * 255, 0.456 * 255, 0.406 * 255],
  std: [0.229 * 255, 0.224 * 255, 0.225 * 255],
};

/** The sha256, in hex, of the canonical JSON of `preprocess`: keys sorted, no white space (RFC 8785 for such data). */
export function preprocessSha256(preprocess: Preprocess): string {
  const entries = Object.entries(preprocess).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify(Object.fromEntries(entries)))
    .digest("hex");
}
