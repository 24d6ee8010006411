/**
 * How the libraries that ResNets come from name their tensors. A naming is data for `detect-spec` and `source`: from a
 * layer's name in the spec (`stage1.block1.reduce`) to the names of its tensors in a file.
 */
import type { BlockKind, Role } from "../spec.js";

/** Tensors of one convolution and its batch norm. */
export interface LayerNames {
  readonly kernel: string;
  /** Not in every file of that naming. */
  readonly bias: string;
  readonly gamma: string;
  readonly beta: string;
  readonly mean: string;
  readonly variance: string;
}

/** One library's names and layout. */
export interface Naming {
  /** For messages. */
  readonly title: string;
  /** Whether kernels are `[k, k, in, out]` and the last matrix `[in, out]`, as in TensorFlow, or outputs come first. */
  readonly outputsLast: boolean;
  /** What the library builds ResNets of; the names of the first layers are the same for all kinds. */
  readonly blocks: readonly BlockKind[];
  layer(name: string): LayerNames;
  readonly fcWeight: string;
  readonly fcBias: string;
}

/** How many convolutions of the block run before that one. */
const positions: Readonly<Record<Exclude<Role, "project">, number>> = {
  reduce: 0,
  spatial: 1,
  expand: 2,
  first: 0,
  second: 1,
};

interface Place {
  /** From 1, both. */
  readonly stage: number;
  readonly block: number;
  readonly role: Role;
}

/** torchvision and timm: `layer1.0.conv1.weight`, `layer1.0.bn1.running_mean`, `layer1.0.downsample.0.weight`. */
const torchvision: Naming = {
  title: "torchvision or timm",
  outputsLast: false,
  blocks: ["basic", "bottleneck"],
  layer(name) {
    const place = placeOf(name);
    if (place === null) return torchNames("conv1", "bn1");
    const block = `layer${place.stage}.${place.block - 1}`;
    if (place.role === "project") return torchNames(`${block}.downsample.0`, `${block}.downsample.1`);
    const number = positions[place.role] + 1;
    return torchNames(`${block}.conv${number}`, `${block}.bn${number}`);
  },
  fcWeight: "fc.weight",
  fcBias: "fc.bias",
};

/** Hugging Face's transformers: `resnet.encoder.stages.0.layers.0.layer.0.convolution.weight`. */
const huggingFace: Naming = {
  title: "Hugging Face transformers",
  outputsLast: false,
  blocks: ["basic", "bottleneck"],
  layer(name) {
    const place = placeOf(name);
    const stem = "resnet.embedder.embedder";
    if (place === null) return torchNames(`${stem}.convolution`, `${stem}.normalization`);
    const block = `resnet.encoder.stages.${place.stage - 1}.layers.${place.block - 1}`;
    const layer = place.role === "project" ? "shortcut" : `layer.${positions[place.role]}`;
    return torchNames(`${block}.${layer}.convolution`, `${block}.${layer}.normalization`);
  },
  fcWeight: "classifier.1.weight",
  fcBias: "classifier.1.bias",
};

/** Keras's first ResNet-50: `res2a_branch2a/kernel`; stages count from 2, blocks from a, and branch 1 is the shortcut. */
export const keras: Naming = {
  title: "Keras",
  outputsLast: true,
  blocks: ["bottleneck"],
  layer(name) {
    const place = placeOf(name);
    if (place === null) return kerasNames("conv1", "bn_conv1");
    const block = String.fromCharCode("a".charCodeAt(0) + place.block - 1);
    const branch = place.role === "project" ? "1" : `2${"abc"[positions[place.role]]}`;
    const suffix = `${place.stage + 1}${block}_branch${branch}`;
    return kerasNames(`res${suffix}`, `bn${suffix}`);
  },
  fcWeight: "fc1000/kernel",
  fcBias: "fc1000/bias",
};

/**
 * `keras.applications` since 2019: `conv2_block1_1_conv/kernel`; stages count from 2, blocks from 1, and convolution 0 is the
 * shortcut.
 */
export const kerasApplications: Naming = {
  title: "keras.applications",
  outputsLast: true,
  blocks: ["bottleneck"],
  layer(name) {
    const place = placeOf(name);
    if (place === null) return kerasNames("conv1_conv", "conv1_bn");
    const number = place.role === "project" ? 0 : positions[place.role] + 1;
    const prefix = `conv${place.stage + 1}_block${place.block}_${number}`;
    return kerasNames(`${prefix}_conv`, `${prefix}_bn`);
  },
  fcWeight: "predictions/kernel",
  fcBias: "predictions/bias",
};

const namings: readonly Naming[] = [torchvision, huggingFace, keras, kerasApplications];

/** The naming whose first convolution is among `names`. Throws an Error that says what was expected and found. */
export function namingOf(names: Iterable<string>): Naming {
  const found = new Set(names);
  const naming = namings.find((each) => found.has(each.layer("stem").kernel));
  if (naming !== undefined) return naming;
  const expected = namings.map((each) => `${each.layer("stem").kernel} (${each.title})`).join(", ");
  const [first = "none"] = found;
  throw new Error(
    `found no first convolution: expected one of ${expected}; the first of ${found.size} tensors is ${first}`,
  );
}

/** The place in `stage1.block1.reduce`; null for the stem. */
function placeOf(name: string): Place | null {
  if (name === "stem") return null;
  const [, stage, block, role] =
    /^stage(\d+)\.block(\d+)\.(reduce|spatial|expand|first|second|project)$/.exec(name) ?? [];
  if (role === undefined) throw new Error(`layer ${name} has no place in a ResNet`);
  return { stage: Number(stage), block: Number(block), role: role as Role };
}

function torchNames(conv: string, norm: string): LayerNames {
  return {
    kernel: `${conv}.weight`,
    bias: `${conv}.bias`,
    gamma: `${norm}.weight`,
    beta: `${norm}.bias`,
    mean: `${norm}.running_mean`,
    variance: `${norm}.running_var`,
  };
}

function kerasNames(conv: string, norm: string): LayerNames {
  return {
    kernel: `${conv}/kernel`,
    bias: `${conv}/bias`,
    gamma: `${norm}/gamma`,
    beta: `${norm}/beta`,
    mean: `${norm}/moving_mean`,
    variance: `${norm}/moving_variance`,
  };
}
