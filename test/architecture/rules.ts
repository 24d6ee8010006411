/**
 * The rules of the architecture, as pure functions from modules to violations, and the tables that they read. To add a
 * room, an adapter, a process entry or a package, add it to a table here; CONTRIBUTING.md says what each rule is for.
 */
import type { Module } from "./modules.js";

export interface Violation {
  readonly rule: RuleName;
  /** `path:line` or `path`. */
  readonly at: string;
  readonly found: string;
}

/** Room -> the rooms that it may import. The arrows that CONTRIBUTING.md draws, and no others. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  shared: [],
  dataset: ["shared"],
  producer: ["shared", "dataset"],
  worker: ["shared", "dataset"],
  results: ["shared", "dataset"],
  delivery: ["shared", "dataset"],
  library: ["shared", "dataset", "producer", "worker", "results", "delivery"],
  cli: ["shared", "dataset", "producer", "worker", "results", "library"],
};

/** Folder of a port -> the port itself. The folder's other files are its adapters, except `open-*`, which chooses one. */
export const ports: Readonly<Record<string, string>> = {
  "src/dataset/storage": "storage.ts",
  "src/delivery/sinks": "sink.ts",
  "src/producer/source": "source.ts",
  "src/results/export": "exporter.ts",
  "src/worker/fetch": "fetcher.ts",
  "src/worker/model/engines": "engine.ts",
};

/** What connects the parts of a worker; beside `open-*` files the only one that may import adapters. */
export const compositionRoot = "src/worker/start.ts";

/** Package -> where it may be imported: one room or folder; files by name for the two ends of a queue. */
export const packages: Readonly<Record<string, readonly string[]>> = {
  "@lancedb/lancedb": ["src/delivery/sinks/"],
  "@bufbuild/protobuf": ["src/worker/model/"],
  "@tensorflow/tfjs-backend-wasm": ["src/worker/model/engines/"],
  "@tensorflow/tfjs-backend-webgpu": ["src/worker/model/engines/"],
  "@tensorflow/tfjs-core": ["src/worker/model/engines/"],
  "@tensorflow/tfjs-node-gpu": ["src/worker/model/engines/"],
  "apache-arrow": ["src/dataset/", "src/delivery/sinks/"],
  bullmq: ["src/producer/chunk-queue.ts", "src/producer/schedule-queue.ts", "src/worker/run-queue.ts"],
  "cli-progress": ["src/cli/"],
  commander: ["src/cli/"],
  "cron-parser": ["src/producer/schedule-timing.ts"],
  fzstd: ["src/producer/source/"],
  h5wasm: ["src/worker/model/"],
  hyparquet: ["src/dataset/", "src/producer/source/"],
  "hyparquet-compressors": ["src/dataset/", "src/producer/source/"],
  "ipaddr.js": ["src/worker/fetch/"],
  ioredis: ["src/shared/redis.ts"],
  "onnxruntime-node": ["src/worker/model/engines/"],
  pacote: ["src/worker/model/"],
  pg: ["src/delivery/sinks/"],
  "parquet-wasm": ["src/dataset/"],
  "prom-client": ["src/worker/health/"],
  picomatch: ["src/producer/source/"],
  sharp: ["src/worker/compute/"],
  "tar-stream": ["src/worker/model/"],
  undici: ["src/worker/fetch/", "src/shared/s3/"],
  webgpu: ["src/worker/model/engines/"],
  winston: ["src/shared/log.ts"],
  yaml: ["src/cli/"],
  /** What is read back from Redis or from disk is checked where its form is defined. */
  zod: ["src/shared/", "src/dataset/", "src/producer/schedule-book.ts", "src/producer/schedule-timing.ts"],
};

/** Files outside `src/cli` that may use `process`. */
export const processUsers: readonly string[] = [
  /** Main modules of a process and of a thread. */
  "src/worker/compute/child.ts",
  "src/worker/compute/engine-thread.ts",
  /** The defaults of the library's callers: environment, current directory. */
  "src/library/places.ts",
];

/** What a process that holds locks starts from: its event loop must stay free, so it loads no native image or model code. */
export const lockHolders: readonly string[] = ["src/cli/main.ts", "src/library/index.ts"];
const nativePackages: readonly string[] = [
  "sharp",
  "onnxruntime-node",
  "@tensorflow/tfjs-core",
  "@tensorflow/tfjs-backend-wasm",
  "@tensorflow/tfjs-backend-webgpu",
  "@tensorflow/tfjs-node-gpu",
  "webgpu",
];

const maxFileLines = 300;
const maxFunctionLines = 60;

const rules = {
  /** Every import is a literal and leads to a file of the tree, a package or a builtin, else the other rules are blind. */
  "resolved-imports": (modules: readonly Module[]) =>
    importsWhere(
      modules,
      (_, target) => target === null,
      (specifier) => `import of "${specifier}"`,
    ),
  arrows: roomViolations,
  adapters: adapterViolations,
  packages: packageViolations,
  "model-without-dataset": (modules: readonly Module[]) =>
    modules
      .filter(({ path }) => path.startsWith("src/worker/model/"))
      .flatMap(({ path }) =>
        pathsTo(modules, path, { types: true }, ({ target }) => target.startsWith("src/dataset/")),
      ),
  "native-free-lock-holder": (modules: readonly Module[]) =>
    lockHolders.flatMap((entry) =>
      pathsTo(modules, entry, { types: false }, ({ target }) => nativePackages.includes(target)),
    ),
  cycles: cycleViolations,
  "process-users": (modules: readonly Module[]) =>
    inSource(modules)
      .filter(({ path }) => !path.startsWith("src/cli/") && !processUsers.includes(path))
      .flatMap(({ path, processLines }) =>
        processLines.map((line) => ({ at: `${path}:${line}`, found: "use of process" })),
      ),
  "file-length": (modules: readonly Module[]) =>
    modules
      .filter(({ lines }) => lines > maxFileLines)
      .map(({ path, lines }) => ({ at: path, found: `${lines} lines` })),
  /** Tests are exempt: a `describe` callback is as long as its cases. */
  "function-length": (modules: readonly Module[]) =>
    modules
      .filter(({ path }) => !path.startsWith("test/"))
      .flatMap(({ path, functions }) =>
        functions
          .filter(({ lines }) => lines > maxFunctionLines)
          .map(({ name, line, lines }) => ({ at: `${path}:${line}`, found: `${name} has ${lines} lines` })),
      ),
} as const satisfies Record<string, (modules: readonly Module[]) => readonly Omit<Violation, "rule">[]>;

export type RuleName = keyof typeof rules;
type Found = readonly Omit<Violation, "rule">[];

/** All violations of all rules; empty for a sound tree. */
export function check(modules: readonly Module[]): readonly Violation[] {
  const names = Object.keys(rules) as RuleName[];
  return names.flatMap((rule) => rules[rule](modules).map((found) => ({ rule, ...found })));
}

const inSource = (modules: readonly Module[]) => modules.filter(({ path }) => path.startsWith("src/"));

/** Violations for the imports of source files that `isWrong` picks by importer and target. */
function importsWhere(
  modules: readonly Module[],
  isWrong: (path: string, target: string | null, kind: string) => boolean,
  describe: (specifier: string) => string,
): Found {
  return inSource(modules).flatMap(({ path, imports }) =>
    imports
      .filter(({ target, kind }) => isWrong(path, target, kind))
      .map(({ line, specifier }) => ({ at: `${path}:${line}`, found: describe(specifier) })),
  );
}

const roomOf = (path: string) => /^src\/([^/]+)\//.exec(path)?.[1] ?? "";

function roomViolations(modules: readonly Module[]): Found {
  const homeless = inSource(modules)
    .filter(({ path }) => rooms[roomOf(path)] === undefined)
    .map(({ path }) => ({ at: path, found: "a file in no room" }));
  const against = importsWhere(
    modules,
    (path, target, kind) => {
      if (kind !== "module" || target === null) return false;
      const [from, to] = [roomOf(path), roomOf(target)];
      return from !== to && !(rooms[from] ?? []).includes(to);
    },
    (specifier) => `import of "${specifier}" against the arrows`,
  );
  return [...homeless, ...against];
}

/** Inside a port's folder, adapters may share files; from outside, only its port and its `open-*` files are seen. */
function adapterViolations(modules: readonly Module[]): Found {
  const isOpen = (path: string) => /\/open-[^/]*\.ts$/.test(path);
  return importsWhere(
    modules,
    (path, target) => {
      if (target === null || path === compositionRoot || isOpen(path) || isOpen(target)) return false;
      const folder = Object.keys(ports).find((each) => target.startsWith(`${each}/`));
      return folder !== undefined && !path.startsWith(`${folder}/`) && target !== `${folder}/${ports[folder]}`;
    },
    (specifier) => `import of the adapter "${specifier}"`,
  );
}

function packageViolations(modules: readonly Module[]): Found {
  return importsWhere(
    modules,
    (path, target, kind) => {
      if (kind !== "package" || target === null) return false;
      return !(packages[target] ?? []).some((place) => path.startsWith(place));
    },
    (specifier) => `import of the package "${specifier}" outside its place`,
  );
}

/** The shortest import path from `entry` to each thing that `isForbidden` picks; type imports are followed if asked. */
function pathsTo(
  modules: readonly Module[],
  entry: string,
  follow: { readonly types: boolean },
  isForbidden: (imported: { readonly target: string }) => boolean,
): Found {
  const byPath = new Map(modules.map((module) => [module.path, module]));
  const via = new Map<string, string>([[entry, entry]]);
  const found: { at: string; found: string }[] = [];
  for (const [path, trail] of via) {
    for (const { target, typeOnly } of byPath.get(path)?.imports ?? []) {
      if (target === null || via.has(target) || (typeOnly && !follow.types)) continue;
      via.set(target, `${trail} -> ${target}`);
      if (isForbidden({ target })) found.push({ at: entry, found: `${trail} -> ${target}` });
    }
  }
  return found;
}

/** One violation for each module that can reach itself, named once per cycle by its first path. Type imports count. */
function cycleViolations(modules: readonly Module[]): Found {
  const reported = new Set<string>();
  const found: { at: string; found: string }[] = [];
  for (const { path } of modules) {
    if (reported.has(path)) continue;
    const cycle = shortestCycle(modules, path);
    if (cycle === null) continue;
    for (const member of cycle) reported.add(member);
    found.push({ at: path, found: [...cycle, path].join(" -> ") });
  }
  return found;
}

function shortestCycle(modules: readonly Module[], start: string): readonly string[] | null {
  const byPath = new Map(modules.map((module) => [module.path, module]));
  const trails = new Map<string, readonly string[]>([[start, [start]]]);
  for (const [path, trail] of trails) {
    for (const { target } of byPath.get(path)?.imports ?? []) {
      if (target === start) return trail;
      if (target !== null && byPath.has(target) && !trails.has(target)) trails.set(target, [...trail, target]);
    }
  }
  return null;
}
