import type { BlockKind, ResNetSpec } from "./spec.js";

/** The ResNets of the paper, by the names that torchvision gives them. */
export const architectures = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"] as const;
export type Architecture = (typeof architectures)[number];

/** Kind of block and blocks a stage, from table 1 of the paper that `spec` names. */
const parts: Readonly<Record<Architecture, readonly [BlockKind, readonly number[]]>> = {
  resnet18: ["basic", [2, 2, 2, 2]],
  resnet34: ["basic", [3, 4, 6, 3]],
  resnet50: ["bottleneck", [3, 4, 6, 3]],
  resnet101: ["bottleneck", [3, 4, 23, 3]],
  resnet152: ["bottleneck", [3, 8, 36, 3]],
};

/** The architecture as torchvision builds it for ImageNet-1k: its stride, epsilon and biases. */
export function torchvisionSpec(architecture: Architecture): ResNetSpec {
  const [block, blocks] = parts[architecture];
  return {
    inputSize: 224,
    stemWidth: 64,
    stages: blocks.map((count, stage) => ({ blocks: count, width: 64 * 2 ** stage })),
    ...(block === "basic" ? { block, expansion: 1 } : { expansion: 4 }),
    stridePlacement: "3x3",
    convBias: false,
    batchNormEpsilon: 1e-5,
    classes: 1000,
  };
}
