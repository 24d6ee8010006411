import { backend } from "@tensorflow/tfjs-core";

/** What of the backend's Emscripten module is needed here. */
interface WasmModule {
  /** The address of that many bytes more, as a signed number; 0 where there are none. */
  _malloc(bytes: number): number;
  _free(address: number): void;
}

/** Bytes that 32 bits can address. */
const addressable = 2 ** 32;

/**
 * Makes the current WebAssembly backend throw where its memory (4 GiB at most) is used up. Version 4.22 does not look whether
 * an allocation succeeded, and writes the tensor over the start of the memory: the calls after that one end with "table
 * index is out of bounds", or "Aborted()", or with wrong numbers. A call that throws here leaves the memory sound.
 */
export function guardWasmMemory(): void {
  const { wasm } = backend() as unknown as { readonly wasm: WasmModule };
  // At its first call Emscripten's function puts another one into its place.
  wasm._free(wasm._malloc(1));
  const allocate = wasm._malloc;
  wasm._malloc = (bytes) => {
    // A larger number would be cut to 32 bits.
    const address = bytes < addressable ? allocate(bytes) : 0;
    if (address === 0 && bytes > 0) throw new Error(`WebAssembly is out of memory: it has no ${bytes} bytes more`);
    return address;
  };
}
