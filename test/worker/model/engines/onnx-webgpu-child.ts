/** Entry of a test's process, which may end without a word where a driver does: tiny networks on ONNX Runtime's WebGPU. */
import { openOnnxEngine } from "../../../../src/worker/model/engines/onnx.js";
import { createGraphBuilder, dataType, int } from "../../../../src/worker/model/onnx-builder.js";
import { graphNames } from "../../../../src/worker/model/onnx-graph.js";
import { bgr, rgb, tinyParts, tinyPixels, tinySpecV15 } from "../../../support/definition.js";
import { tinySpec } from "../../../support/tiny-resnet.js";

export interface OnnxWebgpuAnswer {
  readonly name: string;
  /** Of both forms of the network: v1 with BGR, v1.5 with RGB and a scale. */
  readonly outputs: readonly { readonly embeddings: Float32Array; readonly logits: Float32Array }[];
  /** What is said of a graph with a node that this provider has not. */
  readonly refusal: string;
}

/** Strings are for the CPU alone. */
function buildForeign() {
  const graph = createGraphBuilder();
  const text = graph.node("Cast", [graphNames.images], "text", [int("to", 8)]);
  graph.node("Cast", [text], graphNames.logits, [int("to", dataType.float)]);
  const images = { name: graphNames.images, elemType: dataType.uint8, sizes: [32, 32, 3] };
  const logits = { name: graphNames.logits, elemType: dataType.float, sizes: [32, 32, 3] };
  return { ...graph.build(images, [logits]), embeddingWidth: 1 };
}

try {
  const outputs: OnnxWebgpuAnswer["outputs"][number][] = [];
  let name = "";
  for (const [spec, preprocess] of [[tinySpec, bgr] as const, [tinySpecV15, rgb] as const]) {
    const engine = await openOnnxEngine(tinyParts(spec, preprocess), { threads: 1, provider: "webgpu" });
    name = engine.name;
    outputs.push(await engine.infer(tinyPixels, 3));
    await engine.close();
  }
  const foreign = { threads: 1, build: buildForeign } as const;
  await (await openOnnxEngine(tinyParts(), foreign)).close();
  const refusal = await openOnnxEngine(tinyParts(), { ...foreign, provider: "webgpu" }).then(String, String);
  process.send?.({ name, outputs, refusal } satisfies OnnxWebgpuAnswer);
} catch (error) {
  process.send?.({ error: String(error) });
}
