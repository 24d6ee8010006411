import type { RunHead } from "../../dataset/run-head.js";
import type { SinkTarget } from "../sink-target.js";
import type { Sink } from "./sink.js";

/**
 * Connects to a sink for the parts of one run; whoever opens it closes it. Packages are loaded when they are needed.
 * `signal` breaks off a connection to a server that is silent. Throws SINK_UNREACHABLE, SINK_REFUSED, SINK_MISSING.
 */
export async function openSink(target: SinkTarget, head: RunHead, signal: AbortSignal): Promise<Sink> {
  switch (target.kind) {
    case "postgres":
      return (await import("./postgres.js")).openPostgresSink(target, head, signal);
    case "redis":
      return (await import("./redis.js")).openRedisSink(target, head, signal);
    case "lancedb":
      return (await import("./lancedb.js")).openLancedbSink(target, head);
  }
}

/** Throws SINK_MISSING where one of the sinks needs a package that is not here: no wait would help. */
export async function requireSinks(targets: readonly SinkTarget[]): Promise<void> {
  const lance = targets.find(({ kind }) => kind === "lancedb");
  if (lance !== undefined) await requireLancedb(lance.name);
}

/** Throws SINK_MISSING where the package of `lancedb:` sinks is not here. */
export async function requireLancedb(sink: string): Promise<void> {
  await (await import("./lancedb.js")).loadLancedb(sink);
}
