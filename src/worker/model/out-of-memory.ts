import { messageOf } from "../../shared/errors.js";

/**
 * What engines say when the memory of their device is used up. None of them has a code for it, so the texts are read, as they
 * stand in the sources of the versions in `package.json`, or were seen.
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
  // WebAssembly, whose memory has a maximum, and JavaScript's own buffers.
  /memory access out of bounds|Aborted\(OOM\)|Cannot enlarge memory/,
  /Array buffer allocation failed/,
];

/** Whether `thrown`, of a model call, says that the device has no memory left for it. */
export function isOutOfMemory(thrown: unknown): boolean {
  const message = messageOf(thrown);
  return texts.some((text) => text.test(message));
}
