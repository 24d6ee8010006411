import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { chooseGpus, gpusOfTool, gpusOfVisible, requireGpus } from "../../src/worker/cuda-gpus.js";
import { hasGpuFor } from "../../src/worker/model/gpu-devices.js";
import { useTempDir } from "../support/temp-dir.js";

/** What `nvidia-smi -L` prints; the second GPU is divided. */
const printed = `GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-2222-3333-4444-555555555555)
GPU 1: NVIDIA A30 (UUID: GPU-66666666-7777-8888-9999-000000000000)
  MIG 1g.6gb      Device  0: (UUID: MIG-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee)
`;

describe("worker/cuda-gpus", () => {
  const tempDir = useTempDir();

  it("reads NVIDIA's tool, and numbers GPUs as it does", () => {
    const env = (id: string) => ({ CUDA_VISIBLE_DEVICES: id, CUDA_DEVICE_ORDER: "PCI_BUS_ID" });
    assert.deepEqual(gpusOfTool(printed), [
      { index: 0, name: "NVIDIA H100 80GB HBM3", env: env("0") },
      { index: 1, name: "NVIDIA A30", env: env("1") },
    ]);
    assert.deepEqual(gpusOfTool("No devices found.\n"), []);
  });

  it("takes all, or those that are named", () => {
    const found = gpusOfTool(printed);
    assert.deepEqual(chooseGpus("all", found), found);
    assert.deepEqual(chooseGpus([1], found), [found[1]]);
  });

  it("refuses a GPU that is not there, naming those that are", () => {
    assert.throws(() => chooseGpus([0, 2, 3], gpusOfTool(printed)), {
      code: "ENGINE_DEVICE",
      message:
        "Cannot use --devices 0,2,3: there is no GPU 2 and no GPU 3; found: 0 (NVIDIA H100 80GB HBM3), 1 (NVIDIA A30)",
    });
    assert.throws(() => chooseGpus("all", []), { message: /there is no CUDA GPU here; found: none$/ });
  });

  it("takes only those that the environment leaves, counted from 0 as CUDA counts them", async () => {
    const found = await requireGpus("all", { CUDA_VISIBLE_DEVICES: "3,GPU-6666" });
    assert.deepEqual(
      found.map(({ index, env }) => [index, env]),
      [
        [0, { CUDA_VISIBLE_DEVICES: "3" }],
        [1, { CUDA_VISIBLE_DEVICES: "GPU-6666" }],
      ],
    );
    for (const none of ["", "-1"]) assert.deepEqual(gpusOfVisible(none), []);
    assert.equal(gpusOfVisible("0,-1,2").length, 1);
  });

  it("waits 10 s at most for NVIDIA's tool, which a sick GPU holds up for ever", async function () {
    if (await hasGpuFor("onnx-cuda")) return this.skip();
    this.timeout(30_000);
    await writeFile(join(tempDir(), "nvidia-smi"), "#!/bin/sh\nexec sleep 25\n", { mode: 0o755 });
    const { PATH = "" } = process.env;
    process.env.PATH = `${tempDir()}:${PATH}`;
    try {
      const started = performance.now();
      await assert.rejects(requireGpus("all", {}), { code: "ENGINE_DEVICE" });
      assert.ok(performance.now() - started < 20_000);
    } finally {
      process.env.PATH = PATH;
    }
  });

  it("finds none on a machine without one", async function () {
    if (await hasGpuFor("onnx-cuda")) return this.skip();
    await assert.rejects(requireGpus("all", {}), { code: "ENGINE_DEVICE" });
  });
});
