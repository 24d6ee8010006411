import { access, rename } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LabelmillError, messageOf, systemCode } from "../../../shared/errors.js";
import type { QuantizedPrecision } from "../../../shared/precision.js";
import type { Model, SpecModel } from "../catalog.js";
import { requireSpec } from "../require-spec.js";
import { modelDirectory } from "../store.js";
import { type Calibration, digestInt8, readCalibration } from "./calibration.js";

/** Where `models quantize` puts the ranges of that model; they then stand for those of the package. */
function calibrationFile(cacheDir: string, name: string): string {
  return join(modelDirectory(cacheDir, name), "int8.json");
}

/** Moves the ranges in `file`, which lies on the cache's file system, to their place, which it returns. */
export async function commitCalibration(cacheDir: string, name: string, file: string): Promise<string> {
  const path = calibrationFile(cacheDir, name);
  await rename(file, path);
  return path;
}

/** Ranges, and the digest that they give the model. */
export interface FoundCalibration {
  readonly path: string;
  readonly modelSha256: string;
}

/**
 * The ranges that stand for `model` on this machine: those in the cache, if there are any, else those of the package.
 * Throws MODEL_NOT_QUANTIZED where there are neither, MODEL_CORRUPT where those in the cache cannot be used, MODEL_AS_IS.
 */
export async function findCalibration(
  cacheDir: string,
  model: Model,
  precision: QuantizedPrecision,
): Promise<FoundCalibration> {
  const described = requireSpec(model);
  const { name, int8Sha256 } = described;
  const path = calibrationFile(cacheDir, name);
  if (await isThere(path)) return { path, modelSha256: digestInt8(await loadCalibration(described, path), precision) };
  if (int8Sha256 === null) throw new LabelmillError("MODEL_NOT_QUANTIZED", { name });
  // Compiled, this file is dist/src/worker/model/int8/installed.js.
  const shipped = fileURLToPath(new URL(`../../../../../assets/${name}-int8.json`, import.meta.url));
  return { path: shipped, modelSha256: int8Sha256[precision] };
}

/** Which ranges are wanted. */
export interface WantedCalibration {
  readonly model: Model;
  readonly path: string;
  readonly precision: QuantizedPrecision;
  /** Ranges that give the model another digest are refused. */
  readonly modelSha256: string;
}

/** The ranges at `path`. Throws MODEL_CORRUPT where they are not those that were asked for, or damaged; MODEL_AS_IS. */
export async function requireCalibration(wanted: WantedCalibration): Promise<Calibration> {
  const { model, path, precision, modelSha256 } = wanted;
  const calibration = await loadCalibration(requireSpec(model), path);
  const digest = digestInt8(calibration, precision);
  if (digest === modelSha256) return calibration;
  throw corruptRanges(model.name, path, new Error(`they give digest ${digest}, expected ${modelSha256}`));
}

async function loadCalibration({ name, spec, modelSha256 }: SpecModel, path: string): Promise<Calibration> {
  try {
    const calibration = await readCalibration(path, spec);
    if (calibration.weightsSha256 === modelSha256) return calibration;
    throw new Error(`they were measured on weights ${calibration.weightsSha256}, not on ${modelSha256}`);
  } catch (error) {
    throw corruptRanges(name, path, error);
  }
}

function corruptRanges(name: string, path: string, cause: unknown): LabelmillError {
  const reason = `the int8 ranges at ${path}: ${messageOf(cause)}`;
  const remedy = `run \`labelmill models quantize ${name} --calibrate SOURCE\``;
  return new LabelmillError("MODEL_CORRUPT", { name, reason, remedy }, { cause });
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return false;
    throw error;
  }
}
