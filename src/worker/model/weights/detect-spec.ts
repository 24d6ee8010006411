/**
 * Finds out which ResNet a file's tensors are, from their names and shapes alone. What these cannot tell, where the stride
 * is and batch norm's epsilon, is given. It only finds a candidate: `source` then checks every tensor against it.
 */
import type { ResNetSpec, StageSpec, TensorShape } from "../spec.js";
import type { Naming } from "./naming.js";

/** What no tensor tells. */
export type Undetectable = Pick<ResNetSpec, "inputSize" | "stridePlacement" | "batchNormEpsilon">;

/** The spec that fits the tensors. Throws an Error that names the tensor which is not that of a bottleneck ResNet. */
export function detectSpec(tensors: Iterable<TensorShape>, naming: Naming, given: Undetectable): ResNetSpec {
  const shapes = new Map(Array.from(tensors, ({ name, shape }) => [name, shape]));
  const stages = detectStages(shapes, naming);
  const [first] = stages;
  if (first === undefined) throw new Error(`found no block: expected a tensor ${kernelName(naming, 1, 1, "reduce")}`);
  const expanded = outputsOf(shapes, naming, kernelName(naming, 1, 1, "expand"));
  return {
    ...given,
    stemWidth: outputsOf(shapes, naming, naming.layer("stem").kernel),
    stages,
    expansion: expanded / first.width,
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
    while (shapes.has(kernelName(naming, stage, blocks + 1, "reduce"))) blocks += 1;
    if (blocks === 0) return stages;
    requireBottleneck(shapes, naming, stage);
    stages.push({ blocks, width: outputsOf(shapes, naming, kernelName(naming, stage, 1, "reduce")) });
  }
}

/** ResNet-18 and 34 have two convolutions a block, whose first has the same name as that of a bottleneck. */
function requireBottleneck(shapes: Shapes, naming: Naming, stage: number): void {
  const expand = kernelName(naming, stage, 1, "expand");
  if (shapes.has(expand)) return;
  const found = "found blocks of two convolutions, as in ResNet-18 and 34, or none of a ResNet";
  throw new Error(`tensor ${expand} is missing: expected bottleneck blocks, as in ResNet-50, 101 and 152; ${found}`);
}

function kernelName(naming: Naming, stage: number, block: number, role: "reduce" | "expand"): string {
  return naming.layer(`stage${stage}.block${block}.${role}`).kernel;
}

function outputsOf(shapes: Shapes, { outputsLast }: Naming, name: string): number {
  const shape = shapes.get(name);
  const outputs = shape?.at(outputsLast ? -1 : 0);
  if (shape === undefined) throw new Error(`tensor ${name} is missing`);
  if (outputs === undefined || outputs < 1) throw new Error(`tensor ${name} has shape [${shape.join(", ")}]`);
  return outputs;
}
