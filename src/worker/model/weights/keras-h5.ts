/**
 * The weights in an HDF5 file of Keras 2 (`model.save_weights("x.h5")`, `model.save("x.h5")`), by the names that a
 * TensorFlow.js layers model gives them: `conv1_conv/kernel`. A weights file has a group a layer, a whole model has them under
 * `model_weights`, beside the optimizer's, which are not read. Its configuration is not read either: what it says of strides
 * and epsilon is taken from the names.
 */
import { type Hdf5File, readHdf5 } from "./hdf5.js";
import type { RawTensor } from "./raw-tensor.js";

/** Keras nests layer and variable; a model inside a model adds one or two. */
const maxDepth = 8;
/** A ResNet-152 has 1,761. Bounds what hard links that lead back up can cost. */
const maxLinks = 10_000;

/** Every weight in `file`. Throws an Error that names the path that is not as Keras writes it, or what HDF5 finds wrong. */
export function readKerasH5(file: Uint8Array): Promise<RawTensor[]> {
  return readHdf5(file, (hdf5) => {
    const isWholeModel = hdf5.names("/").includes("model_weights");
    const top = isWholeModel ? ["model_weights"] : [];
    if (isWholeModel && hdf5.kindOf("/model_weights") !== "group") throw new Error("/model_weights is not a group");
    return pathsIn(hdf5, top).map((path) => {
      const tensor = hdf5.read(`/${path.join("/")}`);
      return { ...tensor, name: nameOf(path.slice(top.length)) };
    });
  });
}

/** Paths of the datasets below the group at `top`, part by part. */
function pathsIn(hdf5: Hdf5File, top: readonly string[]): (readonly string[])[] {
  const groups: (readonly string[])[] = [top];
  const datasets: (readonly string[])[] = [];
  let links = 0;
  for (const group of groups) {
    for (const name of hdf5.names(`/${group.join("/")}`)) {
      const path = [...group, name];
      const text = `/${path.join("/")}`;
      links += 1;
      if (links > maxLinks)
        throw new Error(`${text} is one of more than ${maxLinks} links: not a file that Keras wrote`);
      if (path.length > maxDepth)
        throw new Error(`${text} lies deeper than ${maxDepth} groups: not a file that Keras wrote`);
      (hdf5.kindOf(text) === "group" ? groups : datasets).push(path);
    }
  }
  return datasets;
}

/**
 * `conv1_conv/conv1_conv/kernel:0` is `conv1_conv/kernel`: of the layer where the inner group repeats it (with a number where
 * the session had that name before), else of the inner group, which is a layer of a model inside the model.
 */
function nameOf(path: readonly string[]): string {
  const [layer = "", inner = layer] = [path[0], path.at(-2)];
  const variable = path.at(-1)?.replace(/:\d+$/, "");
  const isRepeated = inner.startsWith(layer) && /^(_\d+)?$/.test(inner.slice(layer.length));
  return `${isRepeated ? layer : inner}/${variable}`;
}
