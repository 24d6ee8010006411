/**
 * `npm run pack:check`: packs what npm would publish, unpacks it as a dependency of an empty project, and checks that the
 * library imports by name, that the command runs, and that nothing but the product is inside. Needs a build.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root, runScript, StepError } from "./step.mjs";

/** What may be in the package: compiled product, its data, papers. */
const allowed =
  /^(package\.json|README\.md|CHANGELOG\.md|LICENSE|assets\/.+|examples\/photos\/.+|scripts\/(build-tensorflow|step)\.mjs|dist\/src\/.+\.(js|d\.ts))$/;

async function main() {
  const project = mkdtempSync(join(tmpdir(), "labelmill-pack-"));
  try {
    const [packed] = JSON.parse(
      run("npm", ["pack", "--json", "--loglevel=error", "--pack-destination", project], root),
    );
    const names = packed.files.map(({ path }) => path);
    const strange = names.filter((name) => !allowed.test(name));
    if (strange.length > 0) throw new StepError(`The package holds what it should not: ${strange.join(", ")}.`);
    for (const name of [
      "README.md",
      "LICENSE",
      "examples/photos/chelsea.png",
      "dist/src/cli/main.js",
      "dist/src/library/index.d.ts",
      "scripts/build-tensorflow.mjs",
    ]) {
      if (!names.includes(name)) throw new StepError(`The package lacks ${name}.`);
    }
    const home = install(project, packed.filename);
    const exported = run(
      "node",
      ["--input-type=module", "-e", 'console.log(Object.keys(await import("labelmill")).join(", "))'],
      project,
    );
    const help = run("node", [join(home, "dist/src/cli/main.js"), "--help"], project);
    if (exported.trim() === "" || !help.includes("Usage"))
      throw new StepError("The packed library or command does nothing.");
    console.log(`${names.length} files, ${packed.size} bytes packed; the library exports ${exported.trim()}.`);
  } finally {
    rmSync(project, { recursive: true });
  }
}

/** Unpacks the tarball into `project`, with this repository's dependencies instead of a download; returns the package's directory. */
function install(project, tarball) {
  const home = join(project, "node_modules/labelmill");
  mkdirSync(home, { recursive: true });
  run("tar", ["-xzf", join(project, tarball), "-C", home, "--strip-components=1"], project);
  symlinkSync(join(root, "node_modules"), join(home, "node_modules"));
  writeFileSync(join(project, "package.json"), '{ "private": true }\n');
  return home;
}

function run(program, args, cwd) {
  try {
    return execFileSync(program, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  } catch (error) {
    throw new StepError(`\`${program} ${args.join(" ")}\` failed with status ${error.status ?? error.code}.`);
  }
}

await runScript(main);
