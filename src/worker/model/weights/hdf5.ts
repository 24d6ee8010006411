/**
 * Reads HDF5 files (https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t4.html) with the HDF Group's library, compiled to
 * WebAssembly. It knows nothing of Keras. What the library can reach is a file system in memory that has nothing of the disk
 * but this file, and while it is read even that opens no other path: external links, external storage and virtual datasets
 * lead nowhere, and are named. (The package's entry for Node would open real files.)
 */
import type { ready } from "h5wasm";
import { elementCount } from "../spec.js";
import type { RawTensor } from "./raw-tensor.js";

/** An open file. Every call throws an Error that names the path, also where the library cannot make sense of the bytes. */
export interface Hdf5File {
  /** Names in the group at `path`. */
  names(path: string): readonly string[];
  /** What lies at `path`, whose parents have been asked for. Throws for every link but a hard one: none is followed. */
  kindOf(path: string): "group" | "dataset";
  /** The float32 dataset at `path`, by that name. All that are read together may not exceed the file's size. */
  read(path: string): RawTensor;
}

/** Calls `read` with the file that `bytes` are, which is open until it returns. */
export async function readHdf5<T>(bytes: Uint8Array, read: (file: Hdf5File) => T): Promise<T> {
  // Imported here since it takes 0.15 s, which no other format need spend.
  const { File, ready } = await import("h5wasm");
  const library = await ready;
  const files = library.FS as unknown as VirtualFiles;
  files.writeFile(place, bytes, { canOwn: true });
  const watch = confine(files);
  try {
    const opened = new File(place, "r");
    if (opened.file_id < 0n) throw new Error(`it is not a sound HDF5 file: ${watch.reason()}`);
    try {
      return read(fileOf(library, opened.file_id, { watch, bytes: bytes.byteLength }));
    } finally {
      opened.close();
    }
  } finally {
    watch.end();
    files.unlink(place);
  }
}

type Library = Awaited<typeof ready>;

const place = "/weights.h5";
/** POSIX's ENOENT, by the number that the library's runtime gives it. */
const noEntry = 44;
const standardError = 2;
const floatBytes = 4;

/** What is used of the runtime's file system (https://emscripten.org/docs/api_reference/Filesystem-API.html). */
interface VirtualFiles {
  readonly ErrnoError: new (code: number) => Error;
  open(path: string, ...others: readonly unknown[]): unknown;
  getStream(descriptor: number): { stream_ops: { readonly write: StreamWrite } };
  writeFile(path: string, bytes: Uint8Array, options: { readonly canOwn: boolean }): void;
  unlink(path: string): void;
}

type StreamWrite = (stream: unknown, heap: Uint8Array, offset: number, length: number) => number;

/** What a read asked for and was refused, and what the library said. */
interface Watch {
  /** The last path other than the file's own that was to be opened; null where there was none. */
  strayPath(): string | null;
  /** The innermost of the library's messages. */
  reason(): string;
  end(): void;
}

function confine(files: VirtualFiles): Watch {
  const { open } = files;
  const stream = files.getStream(standardError);
  const { stream_ops: operations } = stream;
  let stray: string | null = null;
  let said = "";
  files.open = (path, ...others) => {
    if (path === place) return open.call(files, path, ...others);
    stray = path;
    throw new files.ErrnoError(noEntry);
  };
  const write: StreamWrite = (_, heap, offset, length) => {
    said += Buffer.from(heap.subarray(offset, offset + length)).toString("utf8");
    return length;
  };
  stream.stream_ops = { ...operations, write };
  return {
    strayPath: () => stray,
    reason: () => said.match(/(?<=^ +#\d+: .*\(\): ).*/gm)?.at(-1) ?? "the library does not say why",
    end() {
      files.open = open;
      stream.stream_ops = operations;
    },
  };
}

interface FileContext {
  readonly watch: Watch;
  /** Size of the file. */
  readonly bytes: number;
}

function fileOf(library: Library, id: bigint, { watch, bytes: fileBytes }: FileContext): Hdf5File {
  let left = fileBytes;
  return {
    names: (path) => attempt(watch, path, () => library.get_names(id, path, false)),
    kindOf(path) {
      requireHardLink(library, id, path);
      const type = attempt(watch, path, () => library.get_type(id, path));
      if (type === library.H5G_GROUP) return "group";
      if (type === library.H5G_DATASET) return "dataset";
      throw new Error(`${path} is neither a group nor a dataset`);
    },
    read(path) {
      const shape = floatShapeOf(library, path, () => library.get_dataset_metadata(id, path), watch);
      const bytes = elementCount(shape) * floatBytes;
      left -= bytes;
      if (!(left >= 0)) throw new Error(`the datasets up to ${path} claim more than the file's ${fileBytes} bytes`);
      return { name: path, shape, dtype: "F32", bytes: readBytes(library, id, { path, bytes, watch }) };
    },
  };
}

/** The library throws without a reason, having said it on its standard error. */
function attempt<T>(watch: Watch, path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw new Error(`${path} cannot be read: ${watch.reason()}`, { cause: error });
  }
}

function requireHardLink(library: Library, id: bigint, path: string): void {
  const target: unknown = library.get_symbolic_link(id, path);
  if (target !== null) throw new Error(`${path} is a link to ${String(target)}; soft links are not followed`);
  const { filename, obj_path } = library.get_external_link(id, path) as Partial<Record<string, string>>;
  if (filename === undefined) return;
  throw new Error(`${path} is a link to ${obj_path} in the file ${filename}; external links are not followed`);
}

/** The shape of a dataset that is as Keras writes its weights: float32, in one piece, in this file. */
function floatShapeOf(
  library: Library,
  path: string,
  metadataOf: () => ReturnType<Library["get_dataset_metadata"]>,
  watch: Watch,
): readonly number[] {
  const { type, size, shape, chunks, virtual_sources: sources } = attempt(watch, path, metadataOf);
  if (sources !== undefined)
    throw new Error(`${path} is put together from the file ${sources[0]?.file_name}; other files are not read`);
  if (type !== library.H5T_class_t.H5T_FLOAT.value || size !== floatBytes || shape === null)
    throw new Error(`${path} does not hold float32 numbers`);
  if (chunks !== null)
    throw new Error(`${path} is stored in chunks, expected one piece, as Keras writes; run h5repack -l CONTI -f NONE`);
  return shape;
}

interface WantedBytes {
  readonly path: string;
  readonly bytes: number;
  readonly watch: Watch;
}

/** Little-endian, whatever the file's order is. */
function readBytes(library: Library, id: bigint, { path, bytes, watch }: WantedBytes): Uint8Array {
  if (bytes === 0) return new Uint8Array(0);
  const pointer = library._malloc(bytes);
  if (pointer === 0) throw new Error(`there is no memory for the ${bytes} bytes of ${path}`);
  try {
    const status = library.get_dataset_data(id, path, null, null, null, BigInt(pointer));
    const stray = watch.strayPath();
    if (stray !== null) throw new Error(`${path} keeps its numbers in the file ${stray}; other files are not read`);
    if (status < 0) throw new Error(`${path} cannot be read: ${watch.reason()}`);
    return library.HEAPU8.slice(pointer, pointer + bytes);
  } finally {
    library._free(pointer);
  }
}
