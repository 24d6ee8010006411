import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readWeightFile } from "../../../../src/worker/model/weights/weight-file.js";
import { storedZip } from "../../../support/stored-zip.js";
import { useTempDir } from "../../../support/temp-dir.js";
import { fixtureBytes, fixturePath } from "../../../support/weight-fixtures.js";

describe("worker/model/weights/weight-file", () => {
  const tempDir = useTempDir();
  const put = async (bytes: Uint8Array, name = "weights.bin") => {
    await writeFile(join(tempDir(), name), bytes);
    return join(tempDir(), name);
  };

  it("knows formats and names by what the file holds, whatever it is called", async () => {
    for (const [fixture, title] of [
      ["state-dict.pth", "torchvision or timm"],
      ["torchvision.safetensors", "torchvision or timm"],
      ["hugging-face.safetensors", "Hugging Face transformers"],
    ] as const) {
      const { naming, tensors } = await readWeightFile(await put(fixtureBytes(fixture)));
      // 12 convolutions with their batch norms' four tensors, and two of the last layer.
      assert.deepEqual([naming.title, tensors.length], [title, 62], fixture);
    }
  });

  it("takes the prefix of data-parallel training away, and leaves counters of batches out", async () => {
    const { tensors } = await readWeightFile(fixturePath("data-parallel.pth"));
    const plain = await readWeightFile(fixturePath("state-dict.pth"));
    assert.deepEqual(
      tensors.map(({ name }) => name),
      plain.tensors.map(({ name }) => name),
    );
    assert.equal(
      tensors.some(({ name }) => name.includes("num_batches_tracked")),
      false,
    );
  });

  it("gives the digest of the file", async () => {
    const { sha256 } = await readWeightFile(fixturePath("state-dict.pth"));
    assert.equal(sha256, createHash("sha256").update(fixtureBytes("state-dict.pth")).digest("hex"));
  });

  it("says what it is that it does not read", async () => {
    const refused = async (bytes: Uint8Array, reason: RegExp) =>
      assert.rejects(readWeightFile(await put(bytes)), reason);
    await refused(fixtureBytes("before-1.6.pth"), /PyTorch's format before 1.6/);
    await refused(Uint8Array.of(0x80, 2, 0x7d, 0x2e), /a bare pickle/);
    await refused(Uint8Array.of(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a), /not a sound HDF5 file/);
    await refused(storedZip(new Map([["metadata.json", Buffer.from("{}")]])), /Keras's format .keras/);
    await refused(new Uint8Array(0), /the file ends inside its header/);
    await refused(
      Buffer.from("<!DOCTYPE html><html>"),
      /no safetensors file, no zip archive of torch.save, and no HDF5/,
    );
  });

  it("refuses what is no file", async () => {
    await mkdir(join(tempDir(), "model"));
    await assert.rejects(readWeightFile(join(tempDir(), "model")), /ENOENT.*model\.json/);
    await assert.rejects(readWeightFile("/dev/zero"), /not a regular file/);
    await assert.rejects(readWeightFile(join(tempDir(), "nothing")), /ENOENT/);
  });
});
