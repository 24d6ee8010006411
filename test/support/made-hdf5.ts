import { File, ready } from "h5wasm";

/** The bytes of an HDF5 file that `fill` puts something into. */
export async function madeHdf5(fill: (file: File) => void): Promise<Uint8Array> {
  const { FS } = await ready;
  const path = "/made.h5";
  const file = new File(path, "w");
  fill(file);
  file.close();
  const files = FS as unknown as { readFile(path: string): Uint8Array; unlink(path: string): void };
  const bytes = files.readFile(path).slice();
  files.unlink(path);
  return bytes;
}
