import assert from "node:assert/strict";
import { isOutOfMemory } from "../../../src/worker/model/out-of-memory.js";

describe("worker/model/out-of-memory", () => {
  for (const text of [
    "OOM when allocating tensor with shape[512,64,112,112] and type float on /job:localhost by allocator GPU_0_bfc",
    "Non-zero status code returned while running FusedConv node. Failed to allocate memory for requested buffer of size 1644167168",
    "Non-zero status code returned while running Conv node. Status Message: std::bad_alloc",
    "CUDA failure 2: out of memory ; GPU=0 ; hostname=x",
    "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
    "GPUOutOfMemoryError: Out of memory",
    "vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY",
    "WebAssembly is out of memory: it has no 411041792 bytes more",
    "Array buffer allocation failed",
  ])
    it(`knows "${text}"`, () => assert.ok(isOutOfMemory(new Error(text))));

  for (const text of ["Load model failed: No Op registered", "memory access out of bounds", "Aborted()", "device lost"])
    it(`does not take "${text}" for it`, () => assert.ok(!isOutOfMemory(new Error(text))));

  it("knows what JavaScript says of a buffer that no memory holds", () => {
    let thrown: unknown;
    try {
      new ArrayBuffer(2 ** 52);
    } catch (error) {
      thrown = error;
    }
    assert.ok(isOutOfMemory(thrown), String(thrown));
  });
});
