/**
 * The measured part of an int8 model: the range of every value, and what the float32 model makes of the golden images. It
 * is a small JSON file: one ships with the package for each catalog model, `models quantize` writes another beside the
 * model in the cache. Its content decides the model's digest; nothing else of a machine does.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { QuantizedPrecision } from "../../../shared/precision.js";
import { valueNamesOf } from "../compose.js";
import { layersOf, type ResNetSpec } from "../spec.js";
import { bytesOf } from "../weights/tensor.js";
import { goldenCount } from "./golden.js";
import type { Range } from "./quantize.js";

/** What was measured of one model. */
export interface Calibration {
  /** `modelSha256` of the float32 model that it was measured on. */
  readonly weightsSha256: string;
  /** How many images the ranges are from. */
  readonly images: number;
  /** By the names of `valueNamesOf(spec)`, in that order. */
  readonly ranges: ReadonlyMap<string, Range>;
  /** Float32 embeddings of the golden images. */
  readonly golden: readonly Float32Array[];
}

/** Smallest and largest number of every value in one image, in the order of `valueNamesOf(spec)`. */
export interface Extremes {
  readonly minima: Float32Array;
  readonly maxima: Float32Array;
}

/**
 * Share of the images whose largest number a range holds whole. Not all: with 1 the steps get so wide that the mean
 * cosine of 100 photos falls from 0.9981 to 0.9975.
 */
const coveredShare = 0.9;
/**
 * The last stage's values tell what is in an image, so the next image may exceed all before: its ranges are the largest
 * seen, times this. It raises the worst cosine of 100 photos from 0.971 to 0.995.
 */
const lastStageMargin = 1.5;
/** Decimal digits of a bound in the file; a step of 1 in 255 does not need more. */
const boundDigits = 6;

/** Largest weight integer of each precision: 7 bits keep the sum of two products below 2^15 (255 * 64 * 2 = 32,640). */
export const weightLimits: Readonly<Record<QuantizedPrecision, number>> = { int8: 127, "int8-7bit": 63 };

/** The ranges that `observed` images, one at least, ask for. */
export function rangesOf(spec: ResNetSpec, observed: readonly Extremes[]): Map<string, Range> {
  const lastStage = `stage${spec.stages.length}.`;
  return new Map(
    valueNamesOf(spec).map((name, index) => {
      const isLast = name.startsWith(lastStage);
      const [share, margin] = isLast ? [1, lastStageMargin] : [coveredShare, 1];
      const bound = (pick: keyof Extremes, at: number) => {
        const numbers = observed.map((extremes) => extremes[pick][index] as number);
        return Number((quantile(numbers, at) * margin).toPrecision(boundDigits));
      };
      return [name, [bound("minima", 1 - share), bound("maxima", share)]];
    }),
  );
}

/** The `modelSha256` of an int8 model: sha256 over the compact JSON `{"precision":…,"weights":…,"ranges":…}`. */
export function digestInt8({ weightsSha256, ranges }: Calibration, precision: QuantizedPrecision): string {
  return sha256Of({ precision, weights: weightsSha256, ranges: Object.fromEntries(ranges) });
}

/** The file's text. */
export function encodeCalibration({ weightsSha256, images, ranges, golden }: Calibration): string {
  const content = {
    format: 1,
    weightsSha256,
    images,
    ranges: Object.fromEntries(ranges),
    golden: golden.map((embedding) => Buffer.from(bytesOf(embedding)).toString("base64")),
  };
  const text = JSON.stringify({ ...content, sha256: sha256Of(content) }, null, 2);
  return `${text.replaceAll(/\[\s+([-\d.e]+),\s+([-\d.e]+)\s+\]/g, "[$1, $2]")}\n`;
}

/** The calibration at `path`, checked against its own digest and `spec`. Throws an Error that says what is wrong with it. */
export async function readCalibration(path: string, spec: ResNetSpec): Promise<Calibration> {
  const { sha256, ...content } = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
  if (content.format !== 1) throw new Error("they are not in the form of this version");
  const found = sha256Of(content);
  if (found !== sha256) throw new Error(`content has digest ${found}, expected ${String(sha256)}`);
  // What bears its digest was written by `encodeCalibration`; whether it is for this network is left to see.
  const { weightsSha256, images, ranges, golden } = content as unknown as CalibrationFile;
  const names = valueNamesOf(spec);
  const strange = Object.keys(ranges).find((name, index) => name !== names[index]);
  if (strange !== undefined) throw new Error(`range ${strange} is of another network`);
  const missing = names.find((name) => ranges[name] === undefined);
  if (missing !== undefined) throw new Error(`range ${missing} is missing`);
  const embeddings = golden.map(decodeFloats);
  requireGoldenSize(embeddings, layersOf(spec).embeddingWidth);
  return { weightsSha256, images, ranges: new Map(Object.entries(ranges)), golden: embeddings };
}

/** Of none, the least cosine is 1: the proof would prove nothing. */
function requireGoldenSize(golden: readonly Float32Array[], width: number): void {
  if (golden.length === goldenCount && golden.every(({ length }) => length === width)) return;
  const found = golden.map(({ length }) => length).join(", ") || "0";
  throw new Error(`they hold golden embeddings of ${found} numbers, expected ${goldenCount} of ${width}`);
}

interface CalibrationFile {
  readonly weightsSha256: string;
  readonly images: number;
  readonly ranges: Readonly<Record<string, Range>>;
  readonly golden: readonly string[];
}

function decodeFloats(text: string): Float32Array {
  // A copy, since a small Buffer lies at any offset of its pool.
  return new Float32Array(Uint8Array.from(Buffer.from(text, "base64")).buffer);
}

function sha256Of(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}

/** Linear between the two nearest ranks. */
function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const position = share * (sorted.length - 1);
  const lower = Math.floor(position);
  const [from = 0, to = from] = sorted.slice(lower, lower + 2);
  return from + (to - from) * (position - lower);
}
