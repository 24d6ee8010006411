import assert from "node:assert/strict";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { silentLog } from "../../src/shared/log.js";
import { resolveOptions } from "../../src/shared/options.js";
import { importOnnxFile } from "../../src/worker/import-onnx-file.js";
import {
  AttributeProtoSchema,
  type GraphProto,
  type NodeProto,
  NodeProtoSchema,
  TensorProtoSchema,
} from "../../src/worker/model/onnx_pb.js";
import { runCli } from "../support/cli.js";
import { edited, type OnnxFixture, onnxPath } from "../support/onnx-fixtures.js";
import { useTempDir } from "../support/temp-dir.js";

describe("worker/import-onnx-file", function () {
  this.timeout(60_000);
  const tempDir = useTempDir();
  const importFile = (path: string, signal = new AbortController().signal) => {
    const host = { cacheDir: join(tempDir(), "cache"), driverEnv: {} };
    return importOnnxFile({ name: "tiny", path, options: resolveOptions({ flags: {} }), host, log: silentLog, signal });
  };
  const models = () => readdir(join(tempDir(), "cache/models"));

  async function refuses(name: OnnxFixture, reason: RegExp, edit: (graph: GraphProto) => void): Promise<void> {
    const path = join(tempDir(), "bad.onnx");
    await writeFile(path, edited(name, edit));
    await assert.rejects(importFile(path), { code: "MODEL_INVALID", message: reason });
    assert.deepEqual(await models(), []);
  }

  it("keeps a file that ran", async () => {
    const { model } = await importFile(onnxPath("external"));
    assert.deepEqual([model.onnx?.embeddingWidth, await models()], [12, ["tiny"]]);
  });

  it("keeps nothing where it is interrupted during the trial", async () => {
    const controller = new AbortController();
    const path = join(tempDir(), "long.onnx");
    await writeFile(
      path,
      edited("torchscript", (graph) => computeForLong(graph)),
    );
    const importing = importFile(path, controller.signal);
    const isStaged = async () =>
      (await readdir(join(tempDir(), "cache"), { recursive: true })).some((path) => /manifest/.test(path));
    const early = importing.then(() => assert.fail("it ran to its end"));
    while (!(await isStaged().catch(() => false))) await Promise.race([sleep(5), early]);
    controller.abort();
    await assert.rejects(importing, { code: "RUN_INTERRUPTED" });
    assert.deepEqual(await models(), []);
  });

  it("keeps nothing of a file that ONNX Runtime refuses, and says why", async () => {
    await refuses("torchscript", /bad\.onnx are not usable: Engine onnx cannot run here: .*NoSuchOperator/, (graph) => {
      (graph.node[1] ?? assert.fail()).opType = "NoSuchOperator";
    });
    await refuses("keras", /Engine onnx cannot run here: /, (graph) => {
      const weights = graph.initializer.find(({ name }) => name === "dense/kernel") ?? assert.fail();
      weights.dims = [3n, 10n];
      graph.output[0] = { ...(graph.output[0] ?? assert.fail()) };
      delete graph.output[0].type;
    });
  });

  it("keeps nothing of a file that wants 4 TB while it runs", async () => {
    await refuses("torchscript", /bad\.onnx are not usable: .*(alloc|memory|overflow)/i, (graph) => {
      const [first] = graph.node;
      const flatten = graph.node.find(({ opType }) => opType === "Flatten");
      const [bias] = graph.initializer;
      if (first === undefined || flatten === undefined || bias === undefined) assert.fail();
      const rawData = new Uint8Array(BigInt64Array.of(10n ** 6n, 10n ** 6n).buffer);
      graph.initializer.push({ ...bias, name: "sizes", dims: [2n], dataType: 7, rawData });
      const large = {
        ...first,
        name: "large",
        opType: "ConstantOfShape",
        attribute: [],
        input: ["sizes"],
        output: ["large"],
      };
      const least = { ...large, name: "least", opType: "ReduceMin", input: ["large"], output: ["least"] };
      const sum = { ...large, name: "sum", opType: "Add", input: [flatten.input[0] ?? "", "least"], output: ["sum"] };
      flatten.input[0] = "sum";
      graph.node.splice(graph.node.indexOf(flatten), 0, large, least, sum);
    });
  });

  it("keeps nothing of a file that takes any number of images by its word alone", async () => {
    await refuses("one-image", /runs one image, but not two at a time \(.*\); export it with a free/, (graph) => {
      const type = graph.input[0]?.type?.value;
      const dim = type?.case === "tensorType" ? type.value.shape?.dim[0] : undefined;
      (dim ?? assert.fail()).value = { case: "dimParam", value: "N" };
      const flatten = graph.node.find(({ opType }) => opType === "Flatten") ?? assert.fail();
      Object.assign(flatten, { opType: "Reshape", attribute: [], input: [flatten.input[0], "one-row"] });
      const rawData = new Uint8Array(BigInt64Array.of(1n, -1n).buffer);
      const shape = { ...(graph.initializer[0] ?? assert.fail()), name: "one-row", dims: [2n], dataType: 7, rawData };
      graph.initializer.push(shape);
    });
  });

  it("keeps nothing of a graph that says something else of an image beside another one", async () => {
    await refuses(
      "torchscript",
      /its embedding of an image is not the same beside another one; export it in evaluation mode, or for batches of 1/,
      (graph) => {
        const axes = create(AttributeProtoSchema, { name: "axes", type: 7, ints: [0n] });
        beforeLast(graph, (embedding) => [
          node({ opType: "ReduceMean", input: [embedding], output: ["mean"], attribute: [axes] }),
          node({ opType: "Add", input: [embedding, "mean"], output: ["mixed"] }),
        ]);
      },
    );
  });

  it("blames the machine, not the file, where ONNX Runtime is not installed", async () => {
    const hook = `export function resolve(name, context, next) {
      if (name === "onnxruntime-node") throw new Error("there is none");
      return next(name, context);
    }`;
    const module = (text: string) => `data:text/javascript,${encodeURIComponent(text)}`;
    const preload = module(`import { register } from "node:module"; register(${JSON.stringify(module(hook))});`);
    const args = ["models", "import", onnxPath("torchscript"), "--name", "tiny", "--cache-dir", tempDir()];
    const { code, stderr } = await runCli(args, { preload });
    assert.match(
      stderr,
      /Engine onnx cannot run here: onnxruntime-node not installed; run `npm install.*ENGINE_UNAVAIL/s,
    );
    assert.equal(code, 1);
  });
});

const node = (parts: MessageInitShape<typeof NodeProtoSchema>): NodeProto => create(NodeProtoSchema, parts);

/** Adds to the embedding what takes any machine minutes: 600 products of 4,096 x 4,096 numbers, 82 TFLOP. */
function computeForLong(graph: GraphProto): void {
  const rawData = new Uint8Array(BigInt64Array.of(4096n, 4096n).buffer);
  graph.initializer.push(create(TensorProtoSchema, { name: "sizes", dims: [2n], dataType: 7, rawData }));
  const products = Array.from({ length: 600 }, (_, at) =>
    node({ opType: "MatMul", input: [`product-${at}`, "product-0"], output: [`product-${at + 1}`] }),
  );
  beforeLast(graph, (embedding) => [
    node({ opType: "ConstantOfShape", input: ["sizes"], output: ["product-0"] }),
    ...products,
    node({ opType: "ReduceMin", input: [`product-${products.length}`], output: ["least"] }),
    node({ opType: "Add", input: [embedding, "least"], output: ["late"] }),
  ]);
}

/** Puts nodes between the embedding and the last layer, which takes the output of the last of them instead. */
function beforeLast(graph: GraphProto, nodes: (embedding: string) => readonly NodeProto[]): void {
  const at = graph.node.findLastIndex(({ opType }) => opType === "Gemm");
  const last = graph.node[at] ?? assert.fail();
  const added = nodes(last.input[0] ?? assert.fail());
  last.input[0] = added.at(-1)?.output[0] ?? assert.fail();
  graph.node.splice(at, 0, ...added);
}
