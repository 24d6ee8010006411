import type { OnnxFileFacts, OnnxFiles } from "./facts.js";

/** In the cache files have names of ours: an ONNX file may name any path for its external data. */
const onnxFile = "model.onnx";
const externalFile = (index: number): string => `external-${index}.bin`;

/** The files of such a model in the cache, the .onnx file, of `bytes`, first. */
export function cachedFilesOf(bytes: number, { externalData }: OnnxFileFacts): { file: string; bytes: number }[] {
  return [{ file: onnxFile, bytes }, ...externalData.map(({ bytes }, index) => ({ file: externalFile(index), bytes }))];
}

/** The same with their content, to be written. */
export function cachedContentOf({ onnx, external }: OnnxFiles): { file: string; chunks: Uint8Array[] }[] {
  return [
    { file: onnxFile, chunks: [onnx] },
    ...external.map(({ data }, index) => ({ file: externalFile(index), chunks: [data] })),
  ];
}
