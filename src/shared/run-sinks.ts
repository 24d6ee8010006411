/**
 * The sinks of a run, kept as one field of its record, so that whoever works for the run delivers to them. Names only: a
 * password never enters Redis.
 */
import type { Redis } from "./redis.js";
import { recordKey } from "./run-keys.js";
import type { RunKey } from "./run-record.js";
import { runScript, script } from "./run-scripts.js";

/** KEYS: 1 the record. ARGV: 1 epoch, 2 names as JSON. Returns 1, or 0 where the record is gone or another run's. */
const noteSinksScript = script(`
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'sinks', ARGV[2])
return 1
`);

/** Notes where the parts of `run` are to go, in place of what was noted before. */
export async function noteSinks(redis: Redis, run: RunKey, names: readonly string[]): Promise<void> {
  await runScript(redis, noteSinksScript, [recordKey(run.runId, "run")], [run.epoch, JSON.stringify(names)]);
}

/** The names that were noted; none where the record is gone. */
export async function readSinks(redis: Redis, runId: string): Promise<readonly string[]> {
  const text = await redis.hget(recordKey(runId, "run"), "sinks");
  const names: unknown = JSON.parse(text ?? "[]");
  return Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
}
