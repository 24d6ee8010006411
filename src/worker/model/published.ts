/**
 * torchvision's weights for ImageNet-1k, as data: what `models pull` can fetch besides the catalog. Of these only the first
 * eight digits of the file's sha256 are known beforehand, so a run can name such a model once it has been pulled: then it is
 * in the cache as an imported one is, with the whole digest pinned in its manifest.
 *
 * File names, sizes and preprocessing are those of `torchvision.models.ResNet50_Weights` and its like (torchvision 0.29).
 */
import { type Architecture, torchvisionSpec } from "./architectures.js";
import { type Preprocess, torchvisionPreprocess } from "./preprocess.js";
import type { ResNetSpec } from "./spec.js";

/** Weights that can be fetched as one file. */
export interface PublishedModel {
  readonly name: string;
  readonly title: string;
  /** SPDX id. */
  readonly licence: string;
  /** Below `publishedAt`; ends in the first eight hex digits of its sha256 (`torch.hub`'s `check_hash`). */
  readonly file: string;
  /** No more are fetched. */
  readonly maxBytes: number;
  readonly spec: ResNetSpec;
  readonly preprocess: Preprocess;
}

/** Where the files are. */
export const publishedAt = "https://download.pytorch.org/models/";

/** `V1` is the paper's recipe, `V2` a longer training that wants a resize to 232. */
type Recipe = "V1" | "V2";

/** File, and its size in MiB as torchvision states it. */
const files: readonly (readonly [Architecture, Recipe, string, number])[] = [
  ["resnet18", "V1", "resnet18-f37072fd.pth", 44.661],
  ["resnet34", "V1", "resnet34-b627a593.pth", 83.275],
  ["resnet50", "V1", "resnet50-0676ba61.pth", 97.781],
  ["resnet50", "V2", "resnet50-11ad3fa6.pth", 97.79],
  ["resnet101", "V1", "resnet101-63fe2227.pth", 170.511],
  ["resnet101", "V2", "resnet101-cd907fc2.pth", 170.53],
  ["resnet152", "V1", "resnet152-394f9c45.pth", 230.434],
  ["resnet152", "V2", "resnet152-f82ba261.pth", 230.474],
];

const published: readonly PublishedModel[] = files.map(([architecture, recipe, file, mebibytes]) => ({
  name: `${architecture}-${recipe.toLowerCase()}`,
  title: `ResNet-${architecture.slice("resnet".length)} (torchvision, ImageNet-1k ${recipe})`,
  licence: "BSD-3-Clause",
  file,
  // The stated size is rounded to 0.001.
  maxBytes: Math.ceil((mebibytes + 0.001) * 2 ** 20),
  spec: torchvisionSpec(architecture),
  preprocess: recipe === "V1" ? torchvisionPreprocess : { ...torchvisionPreprocess, shortestSide: 232 },
}));

/** All of them. */
export function listPublished(): readonly PublishedModel[] {
  return published;
}

/** The one of that name, if there is one. */
export function findPublished(name: string): PublishedModel | undefined {
  return published.find((each) => each.name === name);
}
