/**
 * Finds out which ResNet a file's tensors are, from their names and shapes alone. What these cannot tell, where the stride
 * is and batch norm's epsilon, is given. It only finds a candidate: `source` then checks every tensor against it.
 */
import type { BlockKind, ResNetSpec, Role, StageSpec, TensorShape } from "../spec.js";
import type { Naming } from "./naming.js";

/** What no tensor tells. */
export type Undetectable = Pick<ResNetSpec, "inputSize" | "stridePlacement" | "batchNormEpsilon">;

/** The spec that fits the tensors. Throws an Error that names the tensor which is not that of a ResNet. */
export function detectSpec(tensors: Iterable<TensorShape>, naming: Naming, given: Undetectable): ResNetSpec {
  const shapes = new Map(Array.from(tensors, ({ name, shape }) => [name, shape]));
  const stages = detectStages(shapes, naming);
  const [first] = stages;
  if (first === undefined) throw new Error(`found no block: expected a tensor ${kernelName(naming, 1, 1, "first")}`);
  const block = detectBlock(shapes, naming);
  return {
    ...given,
    // The convolution that halves the resolution is the block's first, and it is 3x3.
    ...(block === "basic" && { block, stridePlacement: "3x3" }),
    stemWidth: outputsOf(shapes, naming, naming.layer("stem").kernel),
    stages,
    expansion: detectExpansion(shapes, naming, { block, width: first.width }),
    convBias: shapes.has(naming.layer("stem").bias),
    classes: outputsOf(shapes, naming, naming.fcWeight),
  };
}

type Shapes = ReadonlyMap<string, readonly number[]>;

function detectStages(shapes: Shapes, naming: Naming): StageSpec[] {
  const stages: StageSpec[] = [];
  while (true) {
    const stage = stages.length + 1;
    let blocks = 0;
    while (shapes.has(kernelName(naming, stage, blocks + 1, "first"))) blocks += 1;
    if (blocks === 0) return stages;
    stages.push({ blocks, width: outputsOf(shapes, naming, kernelName(naming, stage, 1, "first")) });
  }
}

/** By the size of the first block's first kernel, which has the same name in all kinds of block. */
function detectBlock(shapes: Shapes, naming: Naming): BlockKind {
  const name = kernelName(naming, 1, 1, "first");
  const size = shapes.get(name)?.at(naming.outputsLast ? 0 : -1);
  const block = kernelSizes.get(size);
  if (block !== undefined && naming.blocks.includes(block)) return block;
  const expected = naming.blocks.map((each) => `${each} blocks (${described[each]})`).join(" or ");
  throw new Error(`tensor ${name} has shape [${shapes.get(name)?.join(", ")}]: expected ${expected}`);
}

/** By what the first block puts out. */
function detectExpansion(
  shapes: Shapes,
  naming: Naming,
  { block, width }: { readonly block: BlockKind; readonly width: number },
): number {
  const name = kernelName(naming, 1, 1, block === "basic" ? "second" : "expand");
  const outputs = outputsOf(shapes, naming, name);
  if (outputs % width === 0) return outputs / width;
  throw new Error(
    `tensor ${name} has ${outputs} outputs, expected a multiple of the ${width} of its block's 3x3 convolution`,
  );
}

const kernelSizes: ReadonlyMap<number | undefined, BlockKind> = new Map([
  [1, "bottleneck"],
  [3, "basic"],
]);
const described: Readonly<Record<BlockKind, string>> = {
  basic: "3x3, 3x3, as in ResNet-18 and 34",
  bottleneck: "1x1, 3x3, 1x1, as in ResNet-50, 101 and 152",
};

function kernelName(naming: Naming, stage: number, block: number, role: Role): string {
  return naming.layer(`stage${stage}.block${block}.${role}`).kernel;
}

function outputsOf(shapes: Shapes, { outputsLast }: Naming, name: string): number {
  const shape = shapes.get(name);
  const outputs = shape?.at(outputsLast ? -1 : 0);
  if (shape === undefined) throw new Error(`tensor ${name} is missing`);
  if (outputs === undefined || outputs < 1) throw new Error(`tensor ${name} has shape [${shape.join(", ")}]`);
  return outputs;
}
