/**
 * Where things are on this machine, for the library's callers and the commands alike: the XDG base directories
 * (specifications.freedesktop.org/basedir-spec), the current directory and the search path. The only file outside `cli/`
 * and the process entries that reads `process`.
 */
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

export interface Places {
  readonly cwd: string;
  /** Models. */
  readonly cacheDir: string;
  /** What private Redis servers keep. */
  readonly stateDir: string;
  /** Sockets of private Redis servers; short. */
  readonly socketDir: string;
  readonly searchPath: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Reads them from the environment. `cacheDir` overrides the cache's. */
export function findPlaces(cacheDir: string | null = null): Places {
  const { env } = process;
  const cacheHome = env.XDG_CACHE_HOME || join(homedir(), ".cache");
  const stateHome = env.XDG_STATE_HOME || join(homedir(), ".local", "state");
  return {
    cwd: process.cwd(),
    cacheDir: cacheDir ?? (env.LABELMILL_CACHE_DIR || join(cacheHome, "labelmill")),
    stateDir: join(stateHome, "labelmill"),
    socketDir: join(tmpdir(), `labelmill-${process.getuid?.() ?? 0}`),
    searchPath: env.PATH ?? "",
    env,
  };
}
