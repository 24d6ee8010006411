import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFile, mkdir, symlink, truncate } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { StringStringEntryProtoSchema } from "../../../../src/worker/model/onnx_pb.js";
import { edited, onnxPath } from "../../../support/onnx-fixtures.js";
import { firstOf, useOnnxImport } from "../../../support/onnx-import.js";

describe("worker/model/onnx-file/external-data", () => {
  const { tempDir, importFile, write, refuses } = useOnnxImport();

  /** The fixture with its first tensor's place changed. */
  const place = (entries: Readonly<Record<string, string>>) =>
    edited("external", (graph) => {
      const { externalData } = firstOf(graph.initializer);
      for (const [key, value] of Object.entries(entries)) {
        const entry = externalData.find((each) => each.key === key);
        if (entry === undefined) externalData.push(create(StringStringEntryProtoSchema, { key, value }));
        else entry.value = value;
      }
    });
  const refusesPlace = async (entries: Readonly<Record<string, string>>, reason: RegExp): Promise<void> =>
    refuses(await write(place(entries), "model/bad.onnx"), reason);
  const good = () => copyFile(`${onnxPath("external")}.data`, join(tempDir(), "model/external.onnx.data"));

  beforeEach(async () => {
    await mkdir(join(tempDir(), "model"));
    await good();
    await write(new Uint8Array(10_000), "secret.bin");
  });

  it("is refused outside the model's folder, with the tensor and the path", async () => {
    const secret = join(tempDir(), "secret.bin");
    const outside = /tensor \S+ lies in \S*secret\.bin: expected a path inside the model's folder/;
    await refusesPlace({ location: secret }, outside);
    await refusesPlace({ location: "../secret.bin" }, outside);
    await refusesPlace({ location: "sub/../../secret.bin" }, outside);
    await refusesPlace({ location: "..\\secret.bin" }, outside);
    await refusesPlace({ location: "C:\\secret.bin" }, outside);
    await symlink(secret, join(tempDir(), "model/link.bin"));
    await refusesPlace(
      { location: "link.bin" },
      /lies in link\.bin: a link leads to \S+secret\.bin, out of the model's/,
    );
    await symlink(tempDir(), join(tempDir(), "model/folder"));
    await refusesPlace({ location: "folder/secret.bin" }, /a link leads to \S+secret\.bin, out of the model's folder/);
  });

  it("is refused where there is no such file, or no such bytes in it", async () => {
    await refusesPlace({ location: "none.bin" }, /tensor \S+ lies in none\.bin: ENOENT/);
    await refusesPlace({ location: "." }, /tensor \S+ lies in \.: /);
    await refusesPlace({ offset: "4000000" }, /lies in bytes 4000000 to \d+ of external\.onnx\.data, which has 4496/);
    await refusesPlace({ length: "8" }, /has 8 bytes in external\.onnx\.data, its shape claims \d+/);
    await refusesPlace({ offset: "-1" }, /the offset -1 in its external data, expected a number/);
    await refusesPlace({ offset: "1e9" }, /the offset 1e9 in its external data/);
    execFileSync("mkfifo", [join(tempDir(), "model/fifo")]);
    await refusesPlace({ location: "fifo" }, /lies in fifo: \S+ is not a regular file/);
    await truncate(join(tempDir(), "model/external.onnx.data"), 1000);
    await refuses(await write(place({}), "model/bad.onnx"), /of external\.onnx\.data, which has 1000/);
  });

  it("may lie in a folder below, and behind links that stay inside", async () => {
    await mkdir(join(tempDir(), "model/sub"));
    await copyFile(`${onnxPath("external")}.data`, join(tempDir(), "model/sub/data.bin"));
    await symlink("sub/data.bin", join(tempDir(), "model/link.bin"));
    const { model } = await importFile(await write(place({ location: "link.bin" }), "model/good.onnx"));
    assert.deepEqual(
      model.onnx?.externalData.map(({ location }) => location),
      ["link.bin", "external.onnx.data"],
    );
  });
});
