import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { AttributeProtoSchema, type GraphProto, type TensorProto } from "../../../../src/worker/model/onnx_pb.js";
import { findClassifier, findImageInput } from "../../../../src/worker/model/onnx-file/ports.js";
import { readOnnxGraph } from "../../../../src/worker/model/onnx-file/read-graph.js";
import { edited, onnxPath } from "../../../support/onnx-fixtures.js";
import { firstOf, useOnnxImport } from "../../../support/onnx-import.js";

describe("worker/model/onnx-file/read-graph", () => {
  const { importFile, write, refuses, refusesEdited } = useOnnxImport();

  it("refuses operators and graphs that it cannot answer for, by name", async () => {
    await refusesEdited(
      "torchscript",
      /node custom \(Mish\) is an operator of domain my\.ops, expected those of/,
      (graph) => Object.assign(firstOf(graph.node), { name: "custom", opType: "Mish", domain: "my.ops" }),
    );
    await refusesEdited("torchscript", /node branch \(If\) has a graph of its own in then_branch/, (graph) => {
      const attribute = [create(AttributeProtoSchema, { name: "then_branch", g: Uint8Array.of(0x12, 0) })];
      Object.assign(firstOf(graph.node), { name: "branch", opType: "If", attribute });
    });
    await refusesEdited("dynamo", /functions of its own/, (_, model) => model.functions.push(Uint8Array.of(10, 0)));
    await refusesEdited("dynamo", /sparse tensors/, (graph) => graph.sparseInitializer.push(Uint8Array.of(10, 0)));
    for (const [version, found] of [
      [6n, /of opset 6, expected 7 to 26/],
      [27n, /of opset 27, expected 7 to 26/],
    ] as const)
      await refusesEdited("dynamo", found, (_, { opsetImport }) => Object.assign(firstOf(opsetImport), { version }));
    await refusesEdited("dynamo", /names no version of the standard operators/, (_, model) => {
      model.opsetImport = [];
    });
  });

  it("refuses operators that take their scale from the whole batch, and those of chance, by name", async () => {
    for (const [opType, reason] of [
      [
        "DynamicQuantizeLinear",
        /node odd \(DynamicQuantizeLinear\) lets an image's numbers hang on.*quantize it statically/,
      ],
      ["RandomNormalLike", /node odd \(RandomNormalLike\) draws random numbers; export it in evaluation mode/],
      ["Bernoulli", /node odd \(Bernoulli\) draws random numbers/],
    ] as const)
      await refusesEdited("torchscript", reason, (graph) =>
        Object.assign(firstOf(graph.node), { name: "odd", opType }),
      );
  });

  it("refuses tensors that claim more, less or other than they bring, by name", async () => {
    const tensor = (reason: RegExp, edit: (tensor: TensorProto) => void) =>
      refusesEdited("keras", reason, (graph) => edit(firstOf(graph.initializer)));
    await tensor(/tensor kernel claims the shape \[1000000000000, 3, 7, 7\]/, (kernel) => {
      kernel.dims[0] = 10n ** 12n;
    });
    await tensor(/tensor kernel claims the shape \[-6, 3, 7, 7\]/, (kernel) => {
      kernel.dims[0] = -6n;
    });
    await tensor(/tensor kernel has 3528 bytes, its shape \[60000, 3, 7, 7\] claims 35280000/, (kernel) => {
      kernel.dims[0] = 60_000n;
    });
    await tensor(/tensor kernel has 0 elements, its shape \[6, 3, 7, 7\] claims 882/, (kernel) => {
      delete kernel.rawData;
    });
    await tensor(/tensor kernel is of data type 99/, (kernel) => {
      kernel.dataType = 99;
    });
    await refusesEdited("keras", /tensor kernel is there twice/, (graph) => {
      graph.initializer.push(firstOf(graph.initializer));
    });
  });

  it("refuses a file of more nodes than any model has before it makes objects of them", async () => {
    const nodes = new Uint8Array(2 ** 24 + 2);
    for (let at = 0; at < nodes.length; at += 2) nodes[at] = 0x0a;
    // graph, field 7, with its length as a varint.
    const file = Uint8Array.of(0x3a, 0x82, 0x80, 0x80, 0x08);
    const path = await write(Buffer.concat([file, nodes]));
    await refuses(path, /not usable: it has 16777223 bytes besides its initializers, expected 16777216 at most/);
    const large = { name: "large", dims: [2n ** 23n], dataType: 1, rawData: new Uint8Array(2 ** 25) };
    const { model } = await importFile(
      await write(edited("keras", ({ initializer }) => initializer.push({ ...firstOf(initializer), ...large }))),
    );
    assert.equal(model.onnx?.classes, 5);
  });

  it("counts numbers that are written one by one", async () => {
    // float_data, packed: field 4, length-delimited.
    const typed = (floats: number) => (graph: GraphProto) => {
      const bias = graph.initializer.find(({ name }) => name === "dense/bias") ?? assert.fail();
      const data = new Uint8Array(1 + 4 * floats);
      data[0] = 4 * floats;
      delete bias.rawData;
      bias.$unknown = [{ no: 4, wireType: 2, data }];
    };
    await refusesEdited("keras", /tensor dense\/bias has 4 elements, its shape \[5\] claims 5/, typed(4));
    const { model } = await importFile(await write(edited("keras", typed(5))));
    assert.equal(model.onnx?.classes, 5);
  });

  it("reads a damaged file as a sound one or not at all", async () => {
    const whole = await readFile(onnxPath("keras"));
    const flip = fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(flip, { minLength: 1, maxLength: 4 }), fc.nat(whole.length), (flips, end) => {
        const bytes = new Uint8Array(whole.subarray(0, end % 3 === 0 ? end : whole.length));
        for (const { at, byte } of flips) if (at < bytes.length) bytes[at] = byte;
        let found = { classes: 1, embeddingWidth: 1 };
        try {
          const onnx = readOnnxGraph(bytes);
          findImageInput(onnx, 224);
          found = findClassifier(onnx);
        } catch (error) {
          assert.ok(error instanceof Error && !(error instanceof TypeError), String(error));
        }
        assert.ok(found.classes > 0 && found.embeddingWidth > 0);
      }),
      { numRuns: 2000 },
    );
  });
});
