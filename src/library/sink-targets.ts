import { parseSinkTarget, type SinkTarget } from "../delivery/sink-target.js";
import type { Places } from "./places.js";

/** Of Postgres the client library reads PGPASSWORD, PGPASSFILE and the other variables of libpq by itself. */
const redisPassword = "LABELMILL_SINK_REDIS_PASSWORD";

/** The sinks that these urls are, each place once, with passwords from the environment where a url has none. Throws SINK_INVALID. */
export function readSinkTargets(urls: readonly string[], { cwd, env }: Pick<Places, "cwd" | "env">): SinkTarget[] {
  const targets = urls.map((url) => parseSinkTarget(url, cwd));
  const password = env[redisPassword] || null;
  const filled = targets.map((target) =>
    target.kind === "redis" && target.password === null ? { ...target, password } : target,
  );
  return joinTargets(filled);
}

/** The last of several with one name counts: a stored url comes first, and one given to this process may have a password. */
function joinTargets(targets: readonly SinkTarget[]): SinkTarget[] {
  return [...new Map(targets.map((target) => [target.name, target])).values()];
}
