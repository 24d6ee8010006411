import assert from "node:assert/strict";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { InstalledModel } from "../../src/worker/model/install.js";
import type { GraphProto, ModelProto } from "../../src/worker/model/onnx_pb.js";
import { type ImportOnnxOptions, importOnnxModel } from "../../src/worker/model/onnx-file/import.js";
import { edited, type OnnxFixture } from "./onnx-fixtures.js";
import { useTempDir } from "./temp-dir.js";

/** Imports into an empty cache of each test's own, without the proof that a compute child gives. */
export interface OnnxImport {
  tempDir(): string;
  cacheDir(): string;
  /** As `tiny`, unless told otherwise. */
  importFile(path: string, options?: Partial<ImportOnnxOptions>): Promise<InstalledModel>;
  /** Writes a file into `tempDir` and returns its path. */
  write(bytes: Uint8Array, name?: string): Promise<string>;
  /** Asserts that the file is refused with that reason, and that the cache has nothing of it. */
  refuses(path: string, reason: RegExp): Promise<void>;
  refusesEdited(
    name: OnnxFixture,
    reason: RegExp,
    edit: (graph: GraphProto, model: ModelProto) => unknown,
  ): Promise<void>;
}

/** For a `describe`. */
export function useOnnxImport(): OnnxImport {
  const tempDir = useTempDir();
  const cacheDir = () => join(tempDir(), "cache");
  const importFile: OnnxImport["importFile"] = (path, options = {}) =>
    importOnnxModel({ cacheDir: cacheDir(), name: "tiny", path, prove: async () => {}, ...options });
  const write: OnnxImport["write"] = async (bytes, name = "bad.onnx") => {
    const path = join(tempDir(), name);
    await writeFile(path, bytes);
    return path;
  };
  const refuses: OnnxImport["refuses"] = async (path, reason) => {
    await assert.rejects(importFile(path), { code: "MODEL_INVALID", message: reason });
    assert.deepEqual(await readdir(join(cacheDir(), "models")).catch(() => []), []);
  };
  return {
    tempDir,
    cacheDir,
    importFile,
    write,
    refuses,
    refusesEdited: async (name, reason, edit) => refuses(await write(edited(name, edit)), reason),
  };
}

/** The first of a list that is not empty. */
export function firstOf<T>(list: readonly T[]): T {
  return list[0] ?? assert.fail();
}
