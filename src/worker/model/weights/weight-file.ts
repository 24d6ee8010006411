/**
 * Opens a weight file of any known format by its content, not its name, and tells whose tensor names it has. It knows
 * nothing of the cache. `import` calls it.
 */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { readWholeFile } from "../read-file.js";
import { readKerasH5 } from "./keras-h5.js";
import { type Naming, namingOf } from "./naming.js";
import type { RawTensor } from "./raw-tensor.js";
import { readSafetensors } from "./safetensors.js";
import { isZip } from "./stored-zip.js";
import { readTfjsLayers } from "./tfjs-layers.js";
import { readTorchFile } from "./torch-file.js";

/** What a file holds. */
export interface WeightFile {
  readonly naming: Naming;
  /** Without those that no inference needs. */
  readonly tensors: readonly RawTensor[];
  /** Of the file; of all its files in the order in which they are read, where it is a directory. */
  readonly sha256: string;
}

/** Node reads no larger file at once; a ResNet-152 has 0.24 GB. */
const maxBytes = 2 ** 31 - 1;

/**
 * Reads a safetensors file, a file of torch.save, an HDF5 file of Keras, or the directory of a TensorFlow.js layers model. Throws an Error that
 * says what is wrong with it.
 */
export async function readWeightFile(path: string): Promise<WeightFile> {
  const hash = createHash("sha256");
  const read = async (file: string): Promise<Uint8Array> => {
    const bytes = await readWholeFile(file, maxBytes);
    hash.update(bytes);
    return bytes;
  };
  const isDirectory = (await stat(path)).isDirectory();
  const all = isDirectory ? await readTfjsLayers((name) => read(join(path, name))) : await readBytes(await read(path));
  const tensors = withoutWrapper(all).filter(({ name }) => !isIgnored(name));
  return { naming: namingOf(tensors.map(({ name }) => name)), tensors, sha256: hash.digest("hex") };
}

async function readBytes(bytes: Uint8Array): Promise<RawTensor[]> {
  for (const { at = 0, magic, reason } of foreign) {
    if (magic.every((byte, index) => bytes[at + index] === byte)) throw new Error(reason);
  }
  if (isZip(bytes)) return readTorchFile(bytes);
  if (isHdf5(bytes)) return readKerasH5(bytes);
  if (bytes.length > headerStart && bytes[headerStart] !== brace)
    throw new Error("it is no safetensors file, no zip archive of torch.save, and no HDF5 file of Keras");
  return readSafetensors(bytes);
}

/** Where the JSON header of a safetensors file begins, after its length. */
const headerStart = 8;
const brace = 0x7b;

/** By the signature at its start: it may also stand further on, but not in a file of Keras. */
function isHdf5(bytes: Uint8Array): boolean {
  return [0x89, 0x48, 0x44, 0x46].every((byte, index) => bytes[index] === byte);
}

/** What people also call weights, by bytes that it has at a place, the start unless said. */
const foreign: readonly { readonly at?: number; readonly magic: readonly number[]; readonly reason: string }[] = [
  // The number that PyTorch wrote there, as a pickle.
  {
    magic: [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46],
    reason: "it is in PyTorch's format before 1.6; load it there and torch.save its state_dict again",
  },
  { magic: [0x80, 0x02], reason: "it is a bare pickle, expected the zip archive that torch.save writes" },
  {
    // The name of a zip's first entry.
    at: 30,
    magic: [...Buffer.from("metadata.json")],
    reason: "it is in Keras's format .keras; load it there and save it as .h5",
  },
];

/** Training on several devices (torch.nn.DataParallel) puts `module.` before every name. */
function withoutWrapper(tensors: readonly RawTensor[]): readonly RawTensor[] {
  const prefix = "module.";
  if (!tensors.every(({ name }) => name.startsWith(prefix))) return tensors;
  return tensors.map((tensor) => ({ ...tensor, name: tensor.name.slice(prefix.length) }));
}

/** PyTorch counts the batches that batch norm saw in training; nothing that runs a model reads it. */
function isIgnored(name: string): boolean {
  return name.endsWith(".num_batches_tracked");
}
