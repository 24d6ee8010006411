import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { isInstalled } from "../support/packages.js";
import { useTempDir } from "../support/temp-dir.js";

interface ScriptResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function build(...args: string[]): Promise<ScriptResult> {
  const script = resolve("scripts", "build-tensorflow.mjs");
  return new Promise((done) => {
    execFile(process.execPath, [script, ...args], (error, stdout, stderr) =>
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

/** Enough of the npm package for the script: a source that is no good, and what tells where the addon belongs. */
async function makePackage(directory: string): Promise<string> {
  const npm = join(directory, "package");
  await mkdir(join(npm, "binding"), { recursive: true });
  await writeFile(join(npm, "binding", "tfjs_binding.cc"), "int answer() { return 42; }\n");
  await writeFile(join(npm, "package.json"), "{}");
  const finder = join(npm, "node_modules", "@mapbox", "node-pre-gyp");
  await mkdir(finder, { recursive: true });
  await writeFile(
    join(finder, "index.js"),
    'exports.find = (path) => path.replace("package.json", "lib/napi-v8/a.node");',
  );
  return npm;
}

/** What looks like the wheel's directory; the libraries are `content`. */
async function makeWheel(directory: string, content: string): Promise<string> {
  const wheel = join(directory, "tensorflow");
  await mkdir(join(wheel, "include", "tensorflow", "c", "eager"), { recursive: true });
  for (const header of ["c_api.h", "eager/c_api.h"])
    await writeFile(join(wheel, "include", "tensorflow", "c", header), "");
  for (const name of ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"])
    await writeFile(join(wheel, name), content);
  return wheel;
}

async function makeHeaders(directory: string): Promise<string> {
  const headers = join(directory, "headers");
  await mkdir(headers);
  await writeFile(join(headers, "node_api.h"), "");
  return headers;
}

describe("scripts/build-tensorflow", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();

  it("says how it is used", async () => {
    const { code, stdout } = await build("--help");
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: .*--tensorflow DIR.*--node-headers DIR/s);
  });

  it("refuses an option that it does not know as bad usage", async () => {
    const { code, stderr } = await build("--tensorflo", "x");
    assert.equal(code, 2);
    assert.match(stderr, /Unknown option '--tensorflo'.*Usage:/s);
  });

  it("names the command that installs the npm package where that is not there", async () => {
    const { code, stderr } = await build("--package", tempDir());
    assert.equal(code, 1);
    assert.match(stderr, /Found no sources .* npm install --ignore-scripts @tensorflow\/tfjs-node-gpu@4\.22\.0/);
  });

  it("names the command that installs TensorFlow where Python has none, and where there is no Python", async () => {
    const npm = await makePackage(tempDir());
    const without = await build("--package", npm, "--python", "false");
    assert.match(without.stderr, /false finds no package tensorflow; run: pip install tensorflow-cpu/);
    const none = await build("--package", npm, "--python", "no-such-python");
    assert.match(none.stderr, /There is no no-such-python; run: pip install tensorflow-cpu/);
    assert.deepEqual([without.code, none.code], [1, 1]);
  });

  it("names the file that a directory lacks to be TensorFlow's", async () => {
    const npm = await makePackage(tempDir());
    const { code, stderr } = await build("--package", npm, "--tensorflow", tempDir());
    assert.equal(code, 1);
    assert.match(stderr, /to hold libtensorflow_cc\.so\.2, .*reinstall the wheel/);
  });

  it("says where it looked for Node's headers, and where they are had", async () => {
    const [npm, wheel] = [await makePackage(tempDir()), await makeWheel(tempDir(), "")];
    const { code, stderr } = await build("--package", npm, "--tensorflow", wheel, "--node-headers", wheel);
    assert.equal(code, 1);
    assert.match(stderr, /Found no node_api\.h in .*tensorflow; .*--node-headers DIR/);
  });

  it("says what to install where there is no compiler", async () => {
    const [npm, wheel, headers] = [
      await makePackage(tempDir()),
      await makeWheel(tempDir(), ""),
      await makeHeaders(tempDir()),
    ];
    const places = ["--package", npm, "--tensorflow", wheel, "--node-headers", headers];
    const { code, stderr } = await build(...places, "--compiler", "no-such-compiler");
    assert.equal(code, 1);
    assert.match(stderr, /Could not start no-such-compiler.*apt-get install g\+\+/);
  });

  it("leaves nothing behind, and an addon that is there as it is, where the library is damaged", async function () {
    const npm = await makePackage(tempDir());
    const [wheel, headers] = [await makeWheel(tempDir(), "no library"), await makeHeaders(tempDir())];
    const addon = join(npm, "lib", "napi-v8", "a.node");
    await mkdir(dirname(addon), { recursive: true });
    await writeFile(addon, "the one before");
    const places = ["--package", npm, "--tensorflow", wheel, "--node-headers", headers];
    const { code, stderr } = await build(...places, "--compiler", "g++");
    if (stderr.includes("Could not start g++")) return this.skip();
    assert.equal(code, 1);
    assert.match(stderr, /g\+\+ failed, .*libtensorflow_cc\.so\.2, the wheel is damaged.*reinstall it/s);
    assert.deepEqual(await readdir(dirname(addon)), ["a.node"]);
    assert.equal(await readFile(addon, "utf8"), "the one before");
  });

  it("builds an addon that computes, from the real package and wheel", async function () {
    if (!isInstalled("@tensorflow/tfjs-node-gpu/package.json")) return this.skip();
    const require = createRequire(import.meta.url);
    const real = dirname(require.resolve("@tensorflow/tfjs-node-gpu/package.json"));
    const npm = join(tempDir(), "real");
    for (const part of ["binding", "package.json"]) await cp(join(real, part), join(npm, part), { recursive: true });
    await mkdir(join(npm, "node_modules"));
    await symlink(
      dirname(dirname(createRequire(join(real, "package.json")).resolve("@mapbox/node-pre-gyp/package.json"))),
      join(npm, "node_modules", "@mapbox"),
    );
    const { code, stdout, stderr } = await build("--package", npm);
    if (/finds no package tensorflow|There is no python3|Found no node_api/.test(stderr)) return this.skip();
    assert.equal(code, 0, stderr);
    assert.match(stderr, /\[check\] TensorFlow 2\.\d+\.\d+ on (the CPU|a GPU)/);
    assert.match(stdout, /tfjs_binding\.node\nis built/);
    assert.ok(existsSync(stdout.split("\n")[0] ?? ""));
  });
});
