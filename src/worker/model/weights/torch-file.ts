/**
 * Reads what torch.save wrote since PyTorch 1.6 (`.pth`, `.pt`, `pytorch_model.bin`): a zip with one pickle of the structure
 * and one entry a storage. It takes the state_dict at the top, or under one of the keys that training scripts use. Nothing
 * in the file is executed: tensors and storages are recognised by the names of the four globals that a state_dict needs.
 */
import { elementCount } from "../spec.js";
import { PickleGlobal, unpickle } from "./pickle.js";
import { elementBytes, type RawTensor } from "./raw-tensor.js";
import { readStoredZip } from "./stored-zip.js";

/** `torch.FloatStorage` and so on, by the name of safetensors for what it holds. */
const storageTypes: ReadonlyMap<string, string> = new Map([
  ["torch.FloatStorage", "F32"],
  ["torch.HalfStorage", "F16"],
  ["torch.BFloat16Storage", "BF16"],
  ["torch.DoubleStorage", "F64"],
  ["torch.LongStorage", "I64"],
  ["torch.IntStorage", "I32"],
  ["torch.ShortStorage", "I16"],
  ["torch.CharStorage", "I8"],
  ["torch.ByteStorage", "U8"],
  ["torch.BoolStorage", "BOOL"],
]);
const orderedDict = "collections.OrderedDict";
const rebuildTensor = "torch._utils._rebuild_tensor_v2";
const rebuildParameter = "torch._utils._rebuild_parameter";
const callables: readonly string[] = [orderedDict, rebuildTensor, rebuildParameter];

/** Where a checkpoint keeps its state_dict beside epoch and optimizer. */
const stateDictKeys = ["state_dict", "model", "model_state_dict"] as const;
/** A ResNet-152 needs 0.3 MB. */
const maxPickleBytes = 16 * 2 ** 20;
/** A convolution's kernel has 4. */
const maxAxes = 8;
/** Storages are numbered from 0. */
const maxKeyLength = 20;

/** Known by their class, so that no dict in a pickle can pass for one. */
class Storage {
  readonly dtype: string;
  readonly key: string;
  readonly count: number;

  constructor(dtype: string, key: string, count: number) {
    this.dtype = dtype;
    this.key = key;
    this.count = count;
  }
}

/** Lengths and steps of the axes, and the start, count elements of the storage. */
interface Strided {
  readonly storage: Storage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

class StridedTensor {
  readonly strided: Strided;

  constructor(strided: Strided) {
    this.strided = strided;
  }
}

/** The tensors of the state_dict in `file`. Throws an Error that names the global, tensor, entry or byte that is wrong. */
export function readTorchFile(file: Uint8Array): RawTensor[] {
  const entries = readStoredZip(file);
  const pickles = [...entries.keys()].filter((name) => name.endsWith("/data.pkl"));
  const [pickle] = pickles;
  if (pickle === undefined || pickles.length > 1)
    throw new Error(`expected one data.pkl in the zip archive, found ${pickles.length}: it is not of torch.save`);
  const root = pickle.slice(0, -"data.pkl".length);
  const order = entries.get(`${root}byteorder`);
  if (order !== undefined && new TextDecoder().decode(order) !== "little")
    throw new Error("its numbers are big-endian, expected little-endian");
  const bytes = entries.get(pickle) as Uint8Array;
  if (bytes.length > maxPickleBytes)
    throw new Error(`${pickle} has ${bytes.length} bytes, expected ${maxPickleBytes} at most`);
  const stateDict = findStateDict(unpickle(bytes, { isAllowed, call, persistent }));
  return readTensors(stateDict, (key) => entries.get(`${root}data/${key}`), file.length);
}

function isAllowed(global: string): boolean {
  return callables.includes(global) || storageTypes.has(global);
}

function call(global: string, args: readonly unknown[]): unknown {
  if (global === orderedDict && args.length === 0) return new Map();
  if (global === rebuildParameter && args[0] instanceof StridedTensor) return args[0];
  if (global === rebuildTensor) {
    const [storage, offset, shape, strides] = args;
    if (storage instanceof Storage && isSize(offset) && areSizes(shape) && areSizes(strides))
      if (shape.length === strides.length) return new StridedTensor({ storage, offset, shape, strides });
  }
  throw new Error(`a call of ${global} that torch.save does not write`);
}

function persistent(id: unknown): Storage {
  const [tag, type, key, , count] = Array.isArray(id) ? (id as unknown[]) : [];
  const dtype = type instanceof PickleGlobal ? storageTypes.get(type.name) : undefined;
  if (tag !== "storage" || dtype === undefined || !isStorageKey(key) || !isSize(count))
    throw new Error("a persistent id that names no storage");
  return new Storage(dtype, key, count);
}

/** Looked up once a tensor, and one storage may be that of many. */
function isStorageKey(value: unknown): value is string {
  return typeof value === "string" && value.length <= maxKeyLength;
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A pickle can name the same long list for every tensor at two bytes each, so its length is asked before it is read. */
function areSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= maxAxes && value.every(isSize);
}

type StateDict = ReadonlyMap<string, StridedTensor>;

function findStateDict(value: unknown): StateDict {
  const nested = value instanceof Map ? stateDictKeys.map((key) => value.get(key) as unknown) : [];
  const found = [value, ...nested].find(isStateDict);
  if (found !== undefined) return found;
  throw new Error(`expected a state_dict, tensors by name, at the top or under ${stateDictKeys.join(", ")}`);
}

function isStateDict(value: unknown): value is StateDict {
  if (!(value instanceof Map) || value.size === 0) return false;
  return [...value].every(([name, tensor]) => typeof name === "string" && tensor instanceof StridedTensor);
}

/** Tensors that share a storage, as no ResNet's do, could claim any amount of memory; all together may not exceed the file. */
function readTensors(
  stateDict: StateDict,
  storageOf: (key: string) => Uint8Array | undefined,
  fileBytes: number,
): RawTensor[] {
  let left = fileBytes;
  return [...stateDict].map(([name, { strided }]) => {
    const { storage, shape } = strided;
    const size = elementBytes(storage.dtype, name);
    const data = storageOf(storage.key);
    if (data === undefined) throw new Error(`the storage ${storage.key} of tensor ${name} is missing`);
    if (data.length !== storage.count * size)
      throw new Error(`the storage of tensor ${name} has ${data.length} bytes, expected ${storage.count * size}`);
    left -= elementCount(shape) * size;
    if (!(left >= 0)) throw new Error(`the tensors up to ${name} claim more than the file's ${fileBytes} bytes`);
    return { name, shape, dtype: storage.dtype, bytes: gather(name, strided, data, size) };
  });
}

/** The tensor's elements in row-major order: a view where they lie so (nearly always), else a copy. */
function gather(name: string, { storage, offset, shape, strides }: Strided, data: Uint8Array, size: number) {
  const count = elementCount(shape);
  const last = shape.reduce((sum, length, axis) => sum + (length - 1) * (strides[axis] as number), offset);
  if (count > 0 && last >= storage.count)
    throw new Error(`tensor ${name} reaches to element ${last} of a storage of ${storage.count}`);
  if (isRowMajor(shape, strides)) return data.subarray(offset * size, (offset + count) * size);
  const gathered = new Uint8Array(count * size);
  const index = shape.map(() => 0);
  let from = offset;
  for (let to = 0; to < count; to += 1) {
    gathered.set(data.subarray(from * size, (from + 1) * size), to * size);
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      const [length, stride] = [shape[axis] as number, strides[axis] as number];
      const next = (index[axis] as number) + 1;
      from += stride;
      index[axis] = next;
      if (next < length) break;
      from -= length * stride;
      index[axis] = 0;
    }
  }
  return gathered;
}

/** Steps of axes of length 1 do not matter. */
function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    const length = shape[axis] as number;
    if (length !== 1 && strides[axis] !== expected) return false;
    expected *= length;
  }
  return true;
}
