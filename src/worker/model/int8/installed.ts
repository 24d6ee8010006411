import { access, rename } from "node:fs/promises";
import { join } from "node:path";
import { LabelmillError, messageOf, systemCode } from "../../../shared/errors.js";
import type { Precision, QuantizedPrecision } from "../../../shared/precision.js";
import { describeModel, findModel, type ModelDescription } from "../catalog.js";
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

/**
 * `describeModel` on this machine: an int8 precision is that of the ranges in the cache, if there are any. Throws
 * MODEL_UNKNOWN, and MODEL_CORRUPT where those cannot be used.
 */
export async function describeInstalledModel(
  cacheDir: string,
  name: string,
  precision: Precision,
): Promise<ModelDescription> {
  const described = describeModel(name, precision);
  const path = calibrationFile(cacheDir, name);
  if (precision === "fp32" || !(await isThere(path))) return described;
  const calibration = await loadCalibration(name, path);
  return { ...described, calibration: path, modelSha256: digestInt8(calibration, precision) };
}

/** Which ranges are wanted. */
export interface WantedCalibration {
  readonly name: string;
  readonly path: string;
  readonly precision: QuantizedPrecision;
  /** Ranges that give the model another digest are refused. */
  readonly modelSha256: string;
}

/** The ranges at `path`. Throws MODEL_CORRUPT where they are not those that were asked for, or damaged. */
export async function requireCalibration(wanted: WantedCalibration): Promise<Calibration> {
  const { name, path, precision, modelSha256 } = wanted;
  const calibration = await loadCalibration(name, path);
  const digest = digestInt8(calibration, precision);
  if (digest === modelSha256) return calibration;
  throw corruptRanges(name, path, new Error(`they give digest ${digest}, expected ${modelSha256}`));
}

async function loadCalibration(name: string, path: string): Promise<Calibration> {
  const { spec, modelSha256 } = findModel(name);
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
  const fix = `labelmill models quantize ${name} --calibrate SOURCE`;
  return new LabelmillError("MODEL_CORRUPT", { name, reason, fix }, { cause });
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
