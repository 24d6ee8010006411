import { type Block, type ConvLayer, layersOf, type ResNetSpec } from "./spec.js";

/** The steps of a ResNet over values `V`, names in a graph say. A step's result is known by the layer's or sum's name. */
export interface ResNetSteps<V> {
  /** The first convolution and its ReLU, on the images. */
  stem(layer: ConvLayer): V;
  /** 3x3, stride 2, padding 1. */
  maxPool(value: V): V;
  conv(layer: ConvLayer, value: V): V;
  convRelu(layer: ConvLayer, value: V): V;
  /** ReLU of the sum of a block's two branches. */
  addRelu(name: string, branch: V, shortcut: V): V;
}

/** Takes `steps` in the order of the network, up to the end of the last block, whose value it returns. */
export function composeResNet<V>(spec: ResNetSpec, steps: ResNetSteps<V>): V {
  const { stem, blocks } = layersOf(spec);
  return blocks.reduce((value, block) => composeBlock(block, steps, value), steps.maxPool(steps.stem(stem)));
}

/** Names of the values that the steps other than the pool give, in order; the last one is the last block's sum. */
export function valueNamesOf(spec: ResNetSpec): string[] {
  const names: string[] = [];
  const note = (name: string) => void names.push(name);
  composeResNet<void>(spec, {
    stem: ({ name }) => note(name),
    maxPool: () => {},
    conv: ({ name }) => note(name),
    convRelu: ({ name }) => note(name),
    addRelu: note,
  });
  return names;
}

function composeBlock<V>({ name, inner, last, project }: Block, steps: ResNetSteps<V>, value: V): V {
  const branch = steps.conv(
    last,
    inner.reduce((before, layer) => steps.convRelu(layer, before), value),
  );
  const shortcut = project === null ? value : steps.conv(project, value);
  return steps.addRelu(`${name}.sum`, branch, shortcut);
}
