import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readModules, readTree } from "./modules.js";
import type { RuleName } from "./rules.js";
import { check, compositionRoot, lockHolders, packages, ports, processUsers } from "./rules.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** A sound small tree; each planted case replaces or adds files in it. */
const sound: Readonly<Record<string, string>> = {
  "src/shared/errors.ts": "export const errors = 1;\n",
  "src/dataset/row.ts": 'import { errors } from "../shared/errors.js";\nexport const row = errors;\n',
  "src/dataset/storage/local.ts": 'import { row } from "../row.js";\nexport const local = row;\n',
  "src/dataset/storage/open-storage.ts": 'export { local } from "./local.js";\n',
  "src/producer/enqueue.ts": 'import { row } from "../dataset/row.js";\nexport const enqueue = row;\n',
  "src/worker/start.ts": 'import { row } from "../dataset/row.js";\nexport const start = row;\n',
  "src/worker/compute/child.ts": 'import sharp from "sharp";\nsharp(process.argv[2]);\n',
  "src/worker/model/spec.ts":
    'import type { errors } from "../../shared/errors.js";\nexport type Spec = typeof errors;\n',
  "src/library/index.ts":
    'export { start } from "../worker/start.js";\nexport { enqueue } from "../producer/enqueue.js";\n',
  "src/cli/main.ts": 'const { start } = await import("../library/index.js");\nprocess.exitCode = start;\n',
};

const lines = (count: number, line: string) => `${line}\n`.repeat(count);

/** What is planted, the rule that must report it, and where. */
const planted: readonly { name: string; files: Record<string, string>; rule: RuleName; at: string }[] = [
  {
    name: "an import against the arrows",
    files: { "src/shared/log.ts": 'import { row } from "../dataset/row.js";\nexport const log = row;\n' },
    rule: "arrows",
    at: "src/shared/log.ts:1",
  },
  {
    name: "an import between producer and worker",
    files: { "src/producer/plan.ts": 'export { start } from "../worker/start.js";\n' },
    rule: "arrows",
    at: "src/producer/plan.ts:1",
  },
  {
    name: "a type import against the arrows",
    files: { "src/shared/job.ts": 'export type Job = typeof import("../dataset/row.js").row;\n' },
    rule: "arrows",
    at: "src/shared/job.ts:1",
  },
  {
    name: "a file in no room",
    files: { "src/utils/pad.ts": "export const pad = 1;\n" },
    rule: "arrows",
    at: "src/utils/pad.ts",
  },
  {
    name: "an adapter imported by something else than start or open",
    files: { "src/dataset/part.ts": '\nimport { local } from "./storage/local.js";\nexport const part = local;\n' },
    rule: "adapters",
    at: "src/dataset/part.ts:2",
  },
  {
    name: "a model file that reaches the dataset through another",
    files: {
      "src/worker/model/top-k.ts": 'import { start } from "../start.js";\nexport const topK = start;\n',
    },
    rule: "model-without-dataset",
    at: "src/worker/model/top-k.ts",
  },
  {
    name: "a package outside its place",
    files: { "src/producer/table.ts": 'import { parse } from "yaml";\nexport const table = parse;\n' },
    rule: "packages",
    at: "src/producer/table.ts:1",
  },
  {
    name: "a package that has no place",
    files: { "src/cli/colour.ts": 'import chalk from "chalk";\nexport const colour = chalk;\n' },
    rule: "packages",
    at: "src/cli/colour.ts:1",
  },
  {
    name: "a cycle of type imports",
    files: {
      "src/results/a.ts": 'import type { B } from "./b.js";\nexport type A = B | 1;\n',
      "src/results/b.ts": 'import type { A } from "./a.js";\nexport type B = A | 2;\n',
    },
    rule: "cycles",
    at: "src/results/a.ts",
  },
  {
    name: "process outside the command line and the process entries",
    files: { "src/shared/env.ts": "export const env = process.env;\n" },
    rule: "process-users",
    at: "src/shared/env.ts:1",
  },
  {
    name: "node:process imported under another name",
    files: { "src/shared/env.ts": 'import here from "node:process";\nexport const env = here.env;\n' },
    rule: "process-users",
    at: "src/shared/env.ts:1",
  },
  {
    name: "a file of 301 lines",
    files: { "src/shared/long.ts": lines(301, "// a line") },
    rule: "file-length",
    at: "src/shared/long.ts",
  },
  {
    name: "a function of 61 lines",
    files: { "src/shared/long.ts": `export const long = () => {\n${lines(59, "  // a line")}};\n` },
    rule: "function-length",
    at: "src/shared/long.ts:1",
  },
  {
    name: "native code in a process that holds locks, by a dynamic import",
    files: {
      "src/worker/compute/decode.ts": 'import sharp from "sharp";\nexport const decode = sharp;\n',
      "src/worker/start.ts": 'export const start = await import("./compute/decode.js");\n',
    },
    rule: "native-free-lock-holder",
    at: "src/cli/main.ts",
  },
  {
    name: "an import that leads nowhere",
    files: { "src/shared/lost.ts": 'export { gone } from "./gone.js";\n' },
    rule: "resolved-imports",
    at: "src/shared/lost.ts:1",
  },
  {
    name: "an import with a computed name",
    files: { "src/shared/lazy.ts": "export const lazy = (name: string) => import(name);\n" },
    rule: "resolved-imports",
    at: "src/shared/lazy.ts:1",
  },
];

describe("architecture", () => {
  it("finds nothing in a sound small tree", () => {
    assert.deepEqual(check(readModules(new Map(Object.entries(sound)))), []);
  });

  for (const { name, files, rule, at } of planted) {
    it(`reports ${name}, by ${rule} alone`, () => {
      const violations = check(readModules(new Map(Object.entries({ ...sound, ...files }))));
      assert.deepEqual([...new Set(violations.map((violation) => violation.rule))], [rule]);
      assert.equal(violations[0]?.at, at);
    });
  }

  it("accepts a file of 300 lines and a function of 60", () => {
    const files = {
      "src/shared/long.ts": lines(300, "// a line"),
      "src/shared/function.ts": `export const long = () => {\n${lines(58, "  // a line")}};\n`,
    };
    assert.deepEqual(check(readModules(new Map(Object.entries({ ...sound, ...files })))), []);
  });

  it("holds in this repository", () => {
    const modules = readModules(readTree(root, ["src", "test", "bench", "scripts"]));
    const edges = modules.filter(({ path }) => path.startsWith("src/")).flatMap(({ imports }) => imports);
    assert.ok(
      edges.some(({ kind }) => kind === "module"),
      "no import between source files was found",
    );
    assert.deepEqual(
      check(modules).map(({ rule, at, found }) => `${rule}: ${at}: ${found}`),
      [],
    );
  });

  it("has tables that name only what exists", () => {
    const files = Object.entries(ports).map(([folder, port]) => `${folder}/${port}`);
    const named = [...files, compositionRoot, ...processUsers, ...lockHolders];
    const missing = named.filter((path) => !existsSync(`${root}/${path}`));
    assert.deepEqual(missing, []);
    const manifest = JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as {
      dependencies: Record<string, string>;
      peerDependencies: Record<string, string>;
    };
    const { dependencies, peerDependencies } = manifest;
    assert.deepEqual(
      Object.keys(dependencies).filter((name) => packages[name] === undefined),
      [],
    );
    assert.deepEqual(
      Object.keys(packages).filter((name) => !(name in { ...dependencies, ...peerDependencies })),
      [],
    );
  });
});
