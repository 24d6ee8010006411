import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Gives each test of the enclosing `describe` an empty directory of its own. They go when all tests are over: only then has
 * every hook stopped what it started, which may write into them until then.
 */
export function useTempDir(): () => string {
  const dirs: string[] = [];
  beforeEach(async () => {
    dirs.push(await mkdtemp(join(tmpdir(), "lm-test-")));
  });
  after(async () => {
    for (const dir of dirs) await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  });
  return () => dirs.at(-1) ?? "";
}

/** All of an async iterable. */
export async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}
