/**
 * `node scripts/build-tensorflow.mjs`: builds the native addon of TensorFlow.js, for `--engine tensorflow`. It compiles the
 * sources that @tensorflow/tfjs-node-gpu brings against the TensorFlow library inside a wheel of Python's `tensorflow`,
 * and puts the addon where the package looks for it. Python itself is not used, except to ask where the wheel lies. The
 * addon remembers that place: move the wheel, and build again. docs/decisions/0013 says why this way.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { platform } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { execute, runScript, StepError, step } from "./step.mjs";

const usage = `Usage: node scripts/build-tensorflow.mjs [options]

Builds the native addon of @tensorflow/tfjs-node-gpu against the TensorFlow library of a Python wheel. Needs Linux, a C++
compiler, and the two packages:

  npm install --ignore-scripts @tensorflow/tfjs-node-gpu@4.22.0
  pip install tensorflow-cpu             (with an NVIDIA GPU: pip install 'tensorflow[and-cuda]')

  --tensorflow DIR     directory of the wheel's files, with include/ and libtensorflow_cc.so.2
                       (default: where Python finds its package tensorflow, or tensorflow-cpu)
  --python PROGRAM     who is asked for that                        (default: python3)
  --package DIR        directory of the npm package                 (default: found from here)
  --node-headers DIR   directory with node_api.h                    (default: found beside this Node.js)
  --compiler PROGRAM   C++17 compiler that takes g++'s options      (default: $CXX, else g++)
  --help`;

const library = "libtensorflow_cc.so.2";
const framework = "libtensorflow_framework.so.2";

async function main() {
  const options = readOptions();
  if (options.help) {
    console.log(usage);
    return;
  }
  if (platform() !== "linux") throw new StepError(`Expected Linux, got ${platform()}; take another engine.`);
  const paths = {
    package: findPackage(options.package),
    tensorflow: await findTensorflow(options),
    headers: findHeaders(options["node-headers"]),
  };
  const addon = findAddonPlace(paths.package);
  // Beside its place, so that the last step is a rename and an addon that works is replaced by one that works.
  const fresh = join(dirname(addon), `fresh-${process.pid}-${basename(addon)}`);
  mkdirSync(dirname(addon), { recursive: true });
  try {
    await step("compile", () => compile(options.compiler ?? process.env.CXX ?? "g++", paths, fresh));
    await step("check", () => check(fresh));
    renameSync(fresh, addon);
  } finally {
    rmSync(fresh, { force: true });
  }
  console.log(`${addon}\nis built; labelmill run --engine tensorflow uses it.`);
}

function readOptions() {
  const string = { type: "string" };
  const names = ["tensorflow", "python", "package", "node-headers", "compiler"];
  const options = { help: { type: "boolean" }, ...Object.fromEntries(names.map((name) => [name, string])) };
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    throw new StepError(`${error.message}\n\n${usage}`, 2);
  }
}

/** @param {string | undefined} given */
function findPackage(given) {
  const directory = given === undefined ? searchPackage() : resolve(given);
  if (directory !== undefined && existsSync(join(directory, "binding/tfjs_binding.cc"))) return directory;
  const where = directory === undefined ? "" : ` in ${directory}`;
  throw new StepError(
    `Found no sources of @tensorflow/tfjs-node-gpu${where}; run: npm install --ignore-scripts @tensorflow/tfjs-node-gpu@4.22.0`,
  );
}

/** From this file upwards, as Node does it, so that it is found from a checkout and from an installed package alike. */
function searchPackage() {
  const places = createRequire(import.meta.url).resolve.paths("@tensorflow/tfjs-node-gpu") ?? [];
  return places.map((place) => join(place, "@tensorflow/tfjs-node-gpu")).find((place) => existsSync(place));
}

/** @param {{ tensorflow?: string, python?: string }} options */
async function findTensorflow({ tensorflow, python = "python3" }) {
  const directory = tensorflow === undefined ? await askPython(python) : resolve(tensorflow);
  for (const file of [library, framework, "include/tensorflow/c/c_api.h", "include/tensorflow/c/eager/c_api.h"]) {
    if (existsSync(join(directory, file))) continue;
    throw new StepError(
      `Expected ${directory} to hold ${file}, as the directory \`tensorflow\` of a Linux wheel of TensorFlow 2 does; ` +
        "reinstall the wheel (pip install --force-reinstall tensorflow-cpu), or name another with --tensorflow DIR.",
    );
  }
  return directory;
}

/** What a shell gives for a program that is not there. */
const notStarted = { status: 127, stdout: "" };

/** Without an import of TensorFlow, which takes seconds and needs its Python dependencies. @param {string} python */
async function askPython(python) {
  const question = 'from importlib.util import find_spec; s = find_spec("tensorflow"); print(s and s.origin or "")';
  const { status, stdout } = await execute(python, ["-c", question], { stdout: "pipe" }).catch(() => notStarted);
  if (status === 0 && stdout.trim() !== "") return dirname(stdout.trim());
  throw new StepError(
    `${status === notStarted.status ? `There is no ${python}` : `${python} finds no package tensorflow`}; run: pip install tensorflow-cpu (with an NVIDIA GPU: ` +
      "pip install 'tensorflow[and-cuda]'), or name the directory of an unpacked wheel with --tensorflow DIR.",
  );
}

/** @param {string | undefined} given */
function findHeaders(given) {
  const places = given === undefined ? usualHeaders() : [resolve(given)];
  const found = places.find((place) => existsSync(join(place, "node_api.h")));
  if (found !== undefined) return found;
  throw new StepError(
    `Found no node_api.h in ${places.join(", ")}; Node.js ${process.versions.node} has it in include/node of its own archive ` +
      "and in its headers' archive (https://nodejs.org/dist), Debian in the package libnode-dev. Any Node.js from 12.22 on will do. " +
      "Name the directory with --node-headers DIR.",
  );
}

/** Beside the running Node.js, where npm is told to look, where Debian puts them. */
function usualHeaders() {
  const told = process.env.npm_config_nodedir;
  return [
    join(dirname(process.execPath), "../include/node"),
    ...(told === undefined ? [] : [join(told, "include/node")]),
    "/usr/include/node",
    "/usr/include/nodejs/src",
  ];
}

/** Where the package will look, by its own reckoning. @param {string} directory */
function findAddonPlace(directory) {
  const manifest = join(directory, "package.json");
  try {
    return createRequire(manifest)("@mapbox/node-pre-gyp").find(manifest);
  } catch (error) {
    throw new StepError(`${directory} is not whole (${error.message.split("\n")[0]}); install the npm package again.`);
  }
}

/**
 * @param {string} compiler @param {{ package: string, tensorflow: string, headers: string }} paths @param {string} addon
 */
async function compile(compiler, paths, addon) {
  const sources = readdirSync(join(paths.package, "binding")).filter((file) => file.endsWith(".cc"));
  // node-pre-gyp names the directory for the version of Node-API that it takes.
  const [, version] = /napi-v(\d+)/.exec(addon) ?? [];
  const includes = [paths.package, join(paths.tensorflow, "include"), paths.headers].flatMap((path) => ["-I", path]);
  const { status } = await execute(
    compiler,
    [
      ...["-std=c++17", "-O2", "-fPIC", "-shared", `-DNAPI_VERSION=${version}`, ...includes],
      ...sources.map((file) => join(paths.package, "binding", file)),
      ...["-o", addon, join(paths.tensorflow, library), join(paths.tensorflow, framework)],
      // Not -Wl, which would cut a path at its commas.
      ...["-Xlinker", "-rpath", "-Xlinker", paths.tensorflow],
    ],
    { stdout: 2 },
  ).catch((error) => {
    throw new StepError(`${error.message} Install a C++ compiler (apt-get install g++), or name one with --compiler.`);
  });
  if (status === 0) return `${sources.join(" and ")} against ${paths.tensorflow}`;
  throw new StepError(
    `${compiler} failed, see its message above. Where it does not like ${library}, the wheel is damaged or for another ` +
      "kind of processor: reinstall it.",
  );
}

/** In a process of its own: a library that is damaged may end the process that loads it. @param {string} addon */
async function check(addon) {
  const self = fileURLToPath(import.meta.url);
  const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: "1" };
  const { status, stdout } = await execute(process.execPath, [self, checkFlag, addon], { stdout: "pipe", env });
  if (status === 0) return stdout.trim();
  throw new StepError(
    `The addon was built, and failed to load or to compute, see above; reinstall the wheel of TensorFlow. Nothing was changed.`,
  );
}

const checkFlag = "--check-addon";

/** Multiplies two matrices on whatever device TensorFlow finds, and says which. @param {string} path */
function multiplyWith(path) {
  const addon = createRequire(import.meta.url)(path);
  const square = addon.createTensor([2, 2], addon.TF_FLOAT, Float32Array.of(1, 2, 3, 4));
  const type = { name: "T", type: addon.TF_ATTR_TYPE, value: addon.TF_FLOAT };
  const [product] = addon.executeOp("MatMul", [type], [square, square], 1);
  const values = addon.tensorDataSync(product.id).join();
  if (values !== "7,10,15,22") throw new StepError(`Expected the product 7,10,15,22, got ${values}.`);
  console.log(`TensorFlow ${addon.TF_Version} on ${addon.isUsingGpuDevice() ? "a GPU" : "the CPU"}`);
}

const [, , flag, path] = process.argv;
await runScript(async () => (flag === checkFlag && path !== undefined ? multiplyWith(path) : main()));
