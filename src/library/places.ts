/**
 * Where things are on this machine, for the library's callers and the commands alike: the XDG base directories
 * (specifications.freedesktop.org/basedir-spec), the current directory and the search path. The only file outside `cli/`
 * and the process entries that reads `process`.
 */
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";

export interface Places {
  readonly cwd: string;
  /** Directory of the user. */
  readonly home: string;
  /** Models. */
  readonly cacheDir: string;
  /** What private Redis servers keep. */
  readonly stateDir: string;
  /** Sockets of private Redis servers; short. */
  readonly socketDir: string;
  readonly searchPath: string;
  /** What GPU drivers and their loaders read; see `driverVariables`. */
  readonly driverEnv: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Standard input, for a source that is `-`. */
  openStdin(): Readable;
}

/** Of the Vulkan loader (its docs, LoaderInterfaceArchitecture), of CUDA, and of the dynamic linker. None holds a secret. */
const driverVariables = [
  "VK_DRIVER_FILES",
  "VK_ICD_FILENAMES",
  "CUDA_VISIBLE_DEVICES",
  "CUDA_DEVICE_ORDER",
  "LD_LIBRARY_PATH",
];

/** Reads them from the environment. `cacheDir` overrides the cache's. */
export function findPlaces(cacheDir: string | null = null): Places {
  const { env } = process;
  const cacheHome = env.XDG_CACHE_HOME || join(homedir(), ".cache");
  const stateHome = env.XDG_STATE_HOME || join(homedir(), ".local", "state");
  return {
    cwd: process.cwd(),
    home: homedir(),
    cacheDir: cacheDir ?? (env.LABELMILL_CACHE_DIR || join(cacheHome, "labelmill")),
    stateDir: join(stateHome, "labelmill"),
    socketDir: join(tmpdir(), `labelmill-${process.getuid?.() ?? 0}`),
    searchPath: env.PATH ?? "",
    driverEnv: Object.fromEntries(
      driverVariables.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
    ),
    env,
    openStdin: () => process.stdin,
  };
}
