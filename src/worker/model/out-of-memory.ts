import { messageOf } from "../../shared/errors.js";

/**
 * What engines say when the memory of their device is used up and they can go on with less. None of them has a code for it,
 * so their texts are read. "memory access out of bounds" and "Aborted()" of WebAssembly are not among them: what the engine
 * says after these cannot be trusted (see `wasm-memory`, which throws before it comes to that).
 */
const texts: readonly RegExp[] = [
  // TensorFlow, of a tensor's shape.
  /OOM when allocating/,
  // ONNX Runtime's arenas, on the CPU and on CUDA, and the C++ library below them.
  /Failed to allocate memory for requested buffer|BFCArena|bfc_arena/,
  /std::bad_alloc|bad allocation/,
  // CUDA ("CUDA failure 2: out of memory"), Dawn, and their libraries and drivers.
  /\bout of memory\b/i,
  /CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED|VK_ERROR_OUT_OF_(?:DEVICE|HOST)_MEMORY/,
  // JavaScript's own buffers.
  /Array buffer allocation failed/,
];

/** Whether `thrown`, of a model call, says that the device has no memory left for it. */
export function isOutOfMemory(thrown: unknown): boolean {
  const message = messageOf(thrown);
  return texts.some((text) => text.test(message));
}
