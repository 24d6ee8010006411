/** What a manifest says of a model that is an ONNX file: enough to plan a run without reading the file. */
export interface OnnxFileFacts {
  readonly embeddingWidth: number;
  readonly classes: number;
  /** Files that hold tensors of the graph, in the order in which the graph first names them. */
  readonly externalData: readonly ExternalFile[];
}

export interface ExternalFile {
  /** The path by which the graph names it, relative to the folder that the .onnx file was in. */
  readonly location: string;
  readonly bytes: number;
}

/** The files of such a model, whole. */
export interface OnnxFiles {
  /** A serialised ModelProto. */
  readonly onnx: Uint8Array;
  readonly external: readonly { readonly location: string; readonly data: Uint8Array }[];
}

/** ONNX's own limit of a serialised model; also of all files of a model together, as they are held in memory. */
export const maxOnnxBytes = 2 ** 31 - 1;

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) > 0;

/** Whether `value`, from a manifest on disk, has the form of `OnnxFileFacts`. */
export function isOnnxFileFacts(value: unknown): value is OnnxFileFacts {
  const { embeddingWidth, classes, externalData } = (value ?? {}) as Partial<Record<keyof OnnxFileFacts, unknown>>;
  return (
    isCount(embeddingWidth) && isCount(classes) && Array.isArray(externalData) && externalData.every(isExternalFile)
  );
}

function isExternalFile(value: unknown): boolean {
  const { location, bytes } = (value ?? {}) as Partial<Record<keyof ExternalFile, unknown>>;
  return typeof location === "string" && Number.isSafeInteger(bytes);
}
