import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const entry = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

export interface CliOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A module that is loaded before the command. */
  readonly preload?: string;
}

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command as a user starts it. */
export interface RunningCli {
  readonly process: ChildProcess;
  /** Everything on stderr so far. */
  stderr(): string;
  /** Resolves when stderr matches. */
  said(pattern: RegExp): Promise<void>;
  readonly result: Promise<CliResult>;
}

/** Starts `labelmill` with `args`; REDIS_URL and proxies are unset unless given. */
export function startCli(args: readonly string[], { cwd, env = {}, preload }: CliOptions = {}): RunningCli {
  const unset = /^(REDIS_URL|https?_proxy)$/i;
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !unset.test(name)));
  const nodeArgs = preload === undefined ? [] : ["--import", preload];
  const child = spawn(process.execPath, [...nodeArgs, entry, ...args], { cwd, env: { ...inherited, ...env } });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (data: Buffer) => {
    stdout += data;
  });
  child.stderr.on("data", (data: Buffer) => {
    stderr += data;
  });
  return {
    process: child,
    stderr: () => stderr,
    async said(pattern) {
      while (!pattern.test(stderr)) {
        if (child.exitCode !== null || child.signalCode !== null)
          throw new Error(`ended without saying ${pattern}: ${stderr}`);
        await Promise.race([once(child.stderr, "data"), once(child, "exit")]);
      }
    },
    result: once(child, "close").then(([code]) => ({ code, stdout, stderr })),
  };
}

/** Runs `labelmill` to its end. */
export function runCli(args: readonly string[], options?: CliOptions): Promise<CliResult> {
  return startCli(args, options).result;
}
