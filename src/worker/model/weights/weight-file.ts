/**
 * Opens a weight file of any known format by its content, not its name, and tells whose tensor names it has. It knows
 * nothing of the cache. `import` calls it.
 */
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
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
 * Reads a safetensors file, a file of torch.save, or the directory of a TensorFlow.js layers model. Throws an Error that
 * says what is wrong with it.
 */
export async function readWeightFile(path: string): Promise<WeightFile> {
  const hash = createHash("sha256");
  const read = async (file: string): Promise<Uint8Array> => {
    const bytes = await readBounded(file);
    hash.update(bytes);
    return bytes;
  };
  const isDirectory = (await stat(path)).isDirectory();
  const all = isDirectory ? await readTfjsLayers((name) => read(join(path, name))) : readBytes(await read(path));
  const tensors = withoutWrapper(all).filter(({ name }) => !isIgnored(name));
  return { naming: namingOf(tensors.map(({ name }) => name)), tensors, sha256: hash.digest("hex") };
}

async function readBounded(path: string): Promise<Uint8Array> {
  const found = await stat(path);
  if (!found.isFile()) throw new Error(`${path} is not a regular file`);
  if (found.size > maxBytes) throw new Error(`${path} has ${found.size} bytes, expected ${maxBytes} at most`);
  return readFile(path);
}

function readBytes(bytes: Uint8Array): RawTensor[] {
  if (isZip(bytes)) return readTorchFile(bytes);
  for (const { magic, reason } of foreign) {
    if (magic.every((byte, index) => bytes[index] === byte)) throw new Error(reason);
  }
  return readSafetensors(bytes);
}

/** First bytes of what people also call weights. The first is the number that PyTorch wrote there, as a pickle. */
const foreign: readonly { readonly magic: readonly number[]; readonly reason: string }[] = [
  {
    magic: [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46],
    reason: "it is in PyTorch's format before 1.6; load it there and torch.save its state_dict again",
  },
  { magic: [0x80, 0x02], reason: "it is a bare pickle, expected the zip archive that torch.save writes" },
  {
    magic: [0x89, 0x48, 0x44, 0x46],
    reason: "it is an HDF5 file, which this version does not read; convert it with tensorflowjs_converter",
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
