/**
 * What the native libraries of engines read from the environment of their process, once, when they are loaded: it has to be
 * there when the process starts. `threads` is the number of one model call.
 */
export function engineEnv(threads: number): Readonly<Record<string, string>> {
  return {
    // TensorFlow.js gives TensorFlow no other word on the size of its pools. Operators run one after the other, so the pool
    // that would run several at once needs one thread only.
    TF_NUM_INTRAOP_THREADS: String(threads),
    TF_NUM_INTEROP_THREADS: "1",
    // Without its notes on the processor; warnings and errors stay.
    TF_CPP_MIN_LOG_LEVEL: "1",
    // Or it takes all memory of the GPU at once, and a second worker finds none (tensorflow.org/guide/gpu).
    TF_FORCE_GPU_ALLOW_GROWTH: "true",
    // cuDNN is to choose by its heuristics, and not to time all algorithms at each new shape. Not tried on a GPU yet.
    TF_CUDNN_USE_AUTOTUNE: "0",
    // Float32 means float32: NVIDIA's libraries round factors to 10 bits otherwise, as TensorFlow lets them
    // (tensorflow.org/api_docs/python/tf/config/experimental/enable_tensor_float_32_execution).
    NVIDIA_TF32_OVERRIDE: "0",
  };
}
