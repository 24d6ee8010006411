import assert from "node:assert/strict";
import type { GraphProto, NodeProto, ValueInfoProto } from "../../../../src/worker/model/onnx_pb.js";
import { firstOf, useOnnxImport } from "../../../support/onnx-import.js";

describe("worker/model/onnx-file/ports", () => {
  const { refusesEdited } = useOnnxImport();

  const lastNode = ({ node }: GraphProto): NodeProto => node.at(-1) ?? assert.fail();

  it("refuses inputs that are not images of 224 x 224, with the shape that is expected", async () => {
    const shapeOf = ({ type }: ValueInfoProto) =>
      (type?.value.case === "tensorType" && type.value.value) || assert.fail();
    const sized = (reason: RegExp, ...sizes: bigint[]) =>
      refusesEdited("torchscript", reason, (graph) => {
        const dim = shapeOf(firstOf(graph.input)).shape?.dim ?? assert.fail();
        dim.length = sizes.length;
        for (const [axis, value] of sizes.entries()) {
          const each = dim[axis] ?? assert.fail();
          each.value = value === 0n ? { case: "dimParam", value: "N" } : { case: "dimValue", value };
        }
      });
    const shape =
      /input input has the shape \[N, 3, 299, 299\], expected \[N, 3, 224, 224\] or \[N, 224, 224, 3\], the only/;
    await sized(shape, 0n, 3n, 299n, 299n);
    await sized(/has the shape \[N, 1, 224, 224\], expected/, 0n, 1n, 224n, 224n);
    await sized(/has the shape \[N, 3, 224\], expected/, 0n, 3n, 224n);
    await sized(/takes 8 images at a time, \[8, 3, 224, 224\]; export it with a free/, 8n, 3n, 224n, 224n);
    await refusesEdited("torchscript", /input input is of data type 10, expected float32/, (graph) => {
      shapeOf(firstOf(graph.input)).elemType = 10;
    });
    await refusesEdited("torchscript", /has the inputs input, mask; expected one/, (graph) => {
      graph.input.push({ ...firstOf(graph.input), name: "mask" });
    });
    await refusesEdited("torchscript", /has the inputs none/, (graph) => graph.input.splice(0));
  });

  it("refuses graphs whose end is not a classifier's, with the operator that is there", async () => {
    const linear = "expected a linear layer \\(Gemm, or MatMul";
    await refusesEdited("torchscript", new RegExp(`come from node \\S+ \\(Sigmoid\\), ${linear}`), (graph) =>
      Object.assign(lastNode(graph), { opType: "Sigmoid" }),
    );
    await refusesEdited("torchscript", new RegExp(`\\(Gemm\\) has the weights fc.other, ${linear}`), (graph) => {
      lastNode(graph).input[1] = "fc.other";
    });
    await refusesEdited("torchscript", new RegExp(`no node makes output, ${linear}`), (graph) => {
      lastNode(graph).output[0] = "elsewhere";
    });
    await refusesEdited("keras", /node dense \(Softmax\) is over axis 0, expected the last one/, (graph) => {
      firstOf(lastNode(graph).attribute).i = 0n;
    });
    await refusesEdited("torchscript", /has the outputs output, second; expected one/, (graph) => {
      graph.output.push({ ...firstOf(graph.output), name: "second" });
    });
    await refusesEdited("torchscript", /output output has the shape \[batch, 5\], expected \[N, 4\]/, (graph) => {
      const weights = graph.initializer.find(({ name }) => name === "fc.weight") ?? assert.fail();
      weights.dims = [4n, 12n];
      weights.rawData = new Uint8Array(4 * 4 * 12);
    });
    await refusesEdited("keras", new RegExp(`come from node \\S+ \\(Add\\), ${linear}`), (graph) => {
      const add = graph.node.find(({ opType }) => opType === "Add") ?? assert.fail();
      add.input[1] = "resnet/pool:0";
    });
    // A circle.
    await refusesEdited("torchscript", new RegExp(linear), (graph) =>
      Object.assign(lastNode(graph), { opType: "Identity", input: ["output"] }),
    );
  });
});
