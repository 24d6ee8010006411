/**
 * The little that `webgpu.ts` and `tensorflow.ts` need of packages that are optional, so that the project compiles without
 * them. The interfaces of `webgpu` are those of the WebGPU specification (https://www.w3.org/TR/webgpu/).
 */
declare module "webgpu" {
  interface GpuAdapter {
    /** Strings may be empty. A fallback adapter is a software driver. */
    readonly info: { readonly vendor: string; readonly architecture: string; readonly isFallbackAdapter: boolean };
  }
  interface Gpu {
    requestAdapter(options: { powerPreference: "high-performance" }): Promise<GpuAdapter | null>;
  }
  interface GpuDevice {
    pushErrorScope(filter: "validation" | "out-of-memory" | "internal"): void;
    /** Resolves with the first error of the scope that was pushed last. Rejects where the device is lost. */
    popErrorScope(): Promise<{ readonly message: string } | null>;
  }
  /** Opens Dawn; `options` are its switches. */
  export function create(options: string[]): Gpu;
  /** Constructors and flags that browsers have as globals. */
  export const globals: Readonly<Record<string, unknown>>;
}

/** Registers its backend when it is loaded, if `navigator.gpu` is there. */
declare module "@tensorflow/tfjs-backend-webgpu";

/** Registers its backend, and makes it current, when it is loaded. Throws where its addon is not built or does not load. */
declare module "@tensorflow/tfjs-node-gpu";
