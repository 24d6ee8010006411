import { join } from "node:path";
import { messageOf } from "../../../shared/errors.js";
import type { OnnxFileModel } from "../catalog.js";
import { modelOf } from "../manifest.js";
import { readWholeFile } from "../read-file.js";
import { damaged, readManifest } from "../store.js";
import { cachedFilesOf } from "./cached-files.js";
import { digestOnnxFiles } from "./digest.js";
import type { OnnxFiles } from "./facts.js";

/** A model that is an ONNX file, its files checked against its digest. */
export interface StoredOnnxFile {
  readonly model: OnnxFileModel;
  readonly files: OnnxFiles;
}

/**
 * The files in `directory`, checked as a whole against the digest that is expected. Throws MODEL_NOT_PULLED, and MODEL_CORRUPT
 * where they are other ones, or not those of an ONNX file.
 */
export async function readOnnxFile(
  directory: string,
  { modelSha256 }: Pick<OnnxFileModel, "modelSha256">,
): Promise<StoredOnnxFile> {
  const manifest = await readManifest(directory);
  const model = modelOf(manifest);
  try {
    if (model.onnx === undefined) throw new Error("it is not an ONNX file");
    const [onnx, ...data] = await readAll(directory, cachedFilesOf(manifest.bytes, model.onnx));
    const external = model.onnx.externalData.map(({ location }, index) => ({
      location,
      data: data[index] as Uint8Array,
    }));
    const files = { onnx: onnx as Uint8Array, external };
    const digest = digestOnnxFiles(files, model.labelsSha256);
    if (digest !== modelSha256) throw new Error(`content has digest ${digest}, expected ${modelSha256}`);
    return { model, files };
  } catch (error) {
    throw damaged(manifest.name, messageOf(error), error);
  }
}

async function readAll(
  directory: string,
  files: readonly { readonly file: string; readonly bytes: number }[],
): Promise<Uint8Array[]> {
  const contents: Uint8Array[] = [];
  for (const { file, bytes } of files) contents.push(await readWholeFile(join(directory, file), bytes));
  return contents;
}
