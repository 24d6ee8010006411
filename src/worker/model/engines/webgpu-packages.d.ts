/**
 * The little that `webgpu.ts` needs of two packages that are optional, so that the project compiles without them. The
 * interfaces are those of the WebGPU specification (https://www.w3.org/TR/webgpu/).
 */
declare module "webgpu" {
  interface GpuAdapter {
    /** Strings may be empty. A fallback adapter is a software driver. */
    readonly info: { readonly vendor: string; readonly architecture: string; readonly isFallbackAdapter: boolean };
  }
  interface Gpu {
    requestAdapter(options: { powerPreference: "high-performance" }): Promise<GpuAdapter | null>;
  }
  /** Opens Dawn; `options` are its switches. */
  export function create(options: string[]): Gpu;
  /** Constructors and flags that browsers have as globals. */
  export const globals: Readonly<Record<string, unknown>>;
}

/** Registers its backend when it is loaded, if `navigator.gpu` is there. */
declare module "@tensorflow/tfjs-backend-webgpu";
