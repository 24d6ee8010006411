/**
 * Decodes untrusted image bytes into the model's input square. All use of sharp is here. It is hardened in three ways:
 * only six loaders exist, and they only read buffers (a path would be parsed for loader options, and a format such as SVG
 * reads its neighbours); damage is an error, not grey pixels; and the pixel count is limited before anything is allocated.
 * What it does not limit is time: the child watches that, and is killed. Called by `child`; formats are in docs/formats.md.
 */
import sharp, { type Metadata, type OutputInfo, type Sharp, type SharpOptions } from "sharp";
import { type Failure, failure } from "../../shared/errors.js";
import type { Preprocess } from "../model/preprocess.js";
import { failedWith, type Outcome, succeeded } from "../outcome.js";
import { decodeFailure } from "./decode-failure.js";
import { type Box, type CropPlan, planCrop } from "./geometry.js";
import type { DecodedImage } from "./protocol.js";

export interface DecodeOptions {
  readonly preprocess: Pick<Preprocess, "shortestSide" | "cropSize" | "kernel">;
  /** Most pixels (width times height, of one frame) that are decoded. */
  readonly maxPixels: number;
}

export interface Decoder {
  /** Never rejects: bytes that cannot be decoded are a failure value. Holds `bytes` until it resolves; does not change them. */
  decode(bytes: Uint8Array): Promise<Outcome<DecodedImage>>;
}

/** "Nsgif" is libvips' name of its GIF loader. */
const allowedLoaders = ["Jpeg", "Png", "Webp", "Nsgif", "Tiff", "Heif"];

/**
 * A decoder for this process. It sets sharp's process-wide switches, so a process has one set of options: one thread an
 * image (several images are decoded at once instead) and no operation cache, which would keep pixels of past images.
 */
export function openDecoder(options: DecodeOptions): Decoder {
  sharp.block({ operation: ["VipsForeignLoad"] });
  sharp.unblock({ operation: allowedLoaders.map((name) => `VipsForeignLoad${name}Buffer`) });
  sharp.concurrency(1);
  sharp.cache(false);
  return {
    async decode(bytes) {
      try {
        return await decodeImage(bytes, options);
      } catch (thrown) {
        return failedWith(decodeFailure(bytes, thrown, options.maxPixels));
      }
    },
  };
}

async function decodeImage(bytes: Uint8Array, options: DecodeOptions): Promise<Outcome<DecodedImage>> {
  // Reading the header allocates no pixels, and without the limit it tells the size that the row will name.
  const metadata = await sharp(bytes, inputOptions(false)).metadata();
  const tooLarge = checkPixels(metadata, options.maxPixels);
  if (tooLarge !== null) return failedWith(tooLarge);
  const plan = planCrop(metadata, metadata.orientation ?? 1, options.preprocess);
  const source = sharp(bytes, inputOptions(options.maxPixels));
  const image = hasSpareChannels(metadata) ? await dropSpareChannels(source) : source;
  const { data, info } = await toRaw(carryOut(plan, image, options.preprocess.kernel));
  return succeeded({
    ...plan.displayed,
    format: metadata.compression === "av1" ? "avif" : metadata.format,
    pixels: cutRgb(data, info, plan.crop),
  });
}

/** `error` includes truncation; `warning` would refuse photos with odd but harmless metadata. */
function inputOptions(limitInputPixels: number | false): SharpOptions {
  return { failOn: "error", limitInputPixels, sequentialRead: true };
}

function checkPixels({ width, height }: Metadata, limit: number): Failure | null {
  return width * height <= limit ? null : failure("LIMIT_PIXELS", { limit, reason: `it is ${width}x${height}` });
}

/**
 * Gives the whole upright, resized image (256 to 4096 pixels long). The crop is not left to the library, which would then
 * read only the rows that it needs: whether a damaged file is found out would depend on where its damage is. And sharp's
 * own `autoOrient` is not used: with a cut it turns the image at full size and gives up shrink-on-load.
 */
function carryOut(plan: CropPlan, image: Sharp, kernel: DecodeOptions["preprocess"]["kernel"]): Sharp {
  const banded = plan.band === null ? image : image.extract(plan.band);
  const resized = banded
    .flatten({ background: "#ffffff" })
    .toColourspace("srgb")
    // `fastShrinkOnLoad` would leave less than a factor of two to the kernel, which aliases.
    .resize({ ...plan.resized, fit: "fill", kernel, fastShrinkOnLoad: false });
  return resized.flip(plan.turn.flip).flop(plan.turn.flop).rotate(plan.turn.degrees);
}

/**
 * Whether there are channels beyond the colour's and one of alpha, as in TIFFs from measuring instruments. libvips 8.18 takes
 * the last of them for alpha, and blends or divides by it: grey with three spare channels came out white.
 */
function hasSpareChannels({ space, channels }: Metadata): boolean {
  const colours = space === "b-w" || space === "grey16" ? 1 : space === "cmyk" ? 4 : 3;
  return channels > colours + 1;
}

/** The colour channels alone, at full size: without a resize nothing is blended. Costs 3 bytes a pixel of memory. */
async function dropSpareChannels(image: Sharp): Promise<Sharp> {
  const { data, info } = await toRaw(image.removeAlpha().toColourspace("srgb"));
  return sharp(data, { raw: { width: info.width, height: info.height, channels: info.channels } });
}

function toRaw(image: Sharp): Promise<{ data: Buffer; info: OutputInfo }> {
  return image.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
}

/** `box` of the raw image `data`, as `[height, width, 3]`. */
function cutRgb(data: Buffer, { width, channels }: OutputInfo, box: Box): Uint8Array {
  if (channels !== 3) throw new Error(`expected 3 channels of sRGB, got ${channels}`);
  const rgb = new Uint8Array(box.width * box.height * 3);
  for (let row = 0; row < box.height; row += 1) {
    const start = ((box.top + row) * width + box.left) * 3;
    rgb.set(data.subarray(start, start + box.width * 3), row * box.width * 3);
  }
  return rgb;
}
