/**
 * Tensors of an ONNX graph whose bytes lie in other files ("external data",
 * https://onnx.ai/onnx/repo-docs/ExternalData.html). A file comes from anywhere and may name any path, so only regular files
 * inside the model's own folder are read, and only what lies within them is used.
 */
import { realpath } from "node:fs/promises";
import { isAbsolute, join, sep, win32 } from "node:path";
import { messageOf } from "../../../shared/errors.js";
import type { GraphProto, TensorProto } from "../onnx_pb.js";
import { readWholeFile } from "../read-file.js";
import { maxOnnxBytes, type OnnxFiles } from "./facts.js";
import { claimedBytes, isExternal } from "./tensor-size.js";

/** Where a tensor's bytes lie. */
interface ExternalRange {
  readonly location: string;
  readonly offset: number;
  /** Null: as many as the tensor's shape claims. */
  readonly length: number | null;
}

/** The files that the graph names, each once, in the order of the tensors, with the first tensor that names it. */
function externalLocations({ initializer }: GraphProto): Map<string, string> {
  const locations = new Map<string, string>();
  for (const tensor of initializer.filter(isExternal)) {
    const { location } = rangeOf(tensor);
    if (!locations.has(location)) locations.set(location, tensor.name);
  }
  return locations;
}

/**
 * Reads the files that the graph names from `folder`; `usedBytes` of the limit are used up already. Throws an Error that
 * names the tensor and the path.
 */
export async function readExternalFiles(
  graph: GraphProto,
  folder: string,
  usedBytes: number,
): Promise<OnnxFiles["external"]> {
  const files: { location: string; data: Uint8Array }[] = [];
  let left = maxOnnxBytes - usedBytes;
  for (const [location, tensor] of externalLocations(graph)) {
    try {
      const data = await readInside(folder, location, left);
      left -= data.byteLength;
      files.push({ location, data });
    } catch (error) {
      throw new Error(`tensor ${tensor} lies in ${location}: ${messageOf(error)}`, { cause: error });
    }
  }
  return files;
}

/** The bytes of each external tensor of the graph, as views of `files`. Throws an Error that names the tensor. */
export function bindExternal(
  { initializer }: GraphProto,
  { external }: Pick<OnnxFiles, "external">,
): Map<TensorProto, Uint8Array> {
  const data = new Map(external.map((file) => [file.location, file.data]));
  return new Map(
    initializer.filter(isExternal).map((tensor) => {
      const { location, offset, length } = rangeOf(tensor);
      const file = data.get(location);
      const claimed = claimedBytes(tensor);
      if (length !== null && length !== claimed)
        throw new Error(`tensor ${tensor.name} has ${length} bytes in ${location}, its shape claims ${claimed}`);
      if (file === undefined || offset + claimed > file.byteLength) {
        const end = `${offset + claimed} of ${location}, which has ${file?.byteLength ?? 0}`;
        throw new Error(`tensor ${tensor.name} lies in bytes ${offset} to ${end}`);
      }
      return [tensor, file.subarray(offset, offset + claimed)];
    }),
  );
}

function rangeOf({ name, externalData }: TensorProto): ExternalRange {
  const entries = new Map(externalData.map(({ key, value }) => [key, value]));
  const number = (key: string): number | null => {
    const text = entries.get(key);
    if (text === undefined) return null;
    if (/^\d{1,15}$/.test(text)) return Number(text);
    throw new Error(`tensor ${name} has the ${key} ${text} in its external data, expected a number`);
  };
  const location = entries.get("location");
  if (location === undefined) throw new Error(`tensor ${name} is external data of no file`);
  return { location, offset: number("offset") ?? 0, length: number("length") };
}

async function readInside(folder: string, location: string, maxBytes: number): Promise<Uint8Array> {
  if (isAbsolute(location) || win32.isAbsolute(location) || location.split(/[\\/]/).includes(".."))
    throw new Error("expected a path inside the model's folder");
  const [inside, path] = [await realpath(folder), await realpath(join(folder, location))];
  if (!path.startsWith(inside.endsWith(sep) ? inside : inside + sep))
    throw new Error(`a link leads to ${path}, out of the model's folder; put a copy in its place`);
  return readWholeFile(path, maxBytes);
}
