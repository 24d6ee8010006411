/** What became of `createOnce`: this call's bytes are there, or somebody else's were first. */
export type CreateOutcome = "created" | "exists";

/**
 * The port: where a dataset lies. Paths are relative to `location`, with `/` between names. Files are written once,
 * whole, and never changed, so whatever can be read is complete. Adapters are the other files of this folder;
 * `open-storage` chooses one. Throws `STORAGE_*`.
 */
export interface Storage {
  /** Absolute path of the directory (or uri of the prefix). */
  readonly location: string;
  /** The whole file, or null where there is none. */
  read(path: string): Promise<Uint8Array | null>;
  /** Length of the file in bytes, or null where there is none. */
  size(path: string): Promise<number | null>;
  /** Exactly the bytes from `start` up to, not including, `end`; an array that owns its whole buffer. */
  readRange(path: string, start: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Makes the location itself, for a new dataset, and makes sure that it can keep what `createOnce` promises. Nothing else
   * makes it: a location that is gone is not made again.
   */
  prepare(): Promise<void>;
  /**
   * Makes the file durable under its name unless the name is taken: of any number of callers, one is told `created`.
   */
  createOnce(path: string, bytes: Uint8Array): Promise<CreateOutcome>;
  /** Removes a file whose content another file holds now; one that is gone already is no error. */
  remove(path: string): Promise<void>;
  /** What lies directly in the folder `prefix` (`""` or `parts/`), sorted; folders end in `/`. No temporary files. */
  list(prefix: string): Promise<string[]>;
  /**
   * Removes the temporary files directly in these folders (`""` or `parts/`), which killed processes leave behind; returns how
   * many. For folders that have all their files: a writer whose temporary file is removed is told `exists` where its file is
   * there, else STORAGE_FAILED.
   */
  sweep(folders: readonly string[]): Promise<number>;
}
