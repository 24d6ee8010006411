/**
 * What `labelmill doctor` finds: what is on this machine, what a run would use and why, and the proof that it works. Every
 * finding says what to do where something is missing.
 */
import { execFile } from "node:child_process";
import { availableParallelism, totalmem } from "node:os";
import { promisify } from "node:util";
import { LabelmillError, messageOf } from "../shared/errors.js";
import { findServer } from "../shared/private-redis.js";
import { redactUrl } from "../shared/redact-url.js";
import { listServers, type RegisteredServer } from "../shared/server-registry.js";
import { resolveModel } from "../worker/model/known-models.js";
import { isModelCached, modelDirectory } from "../worker/model/store.js";
import type { CallContext } from "./context.js";
import { diagnoseEngines } from "./diagnose-engines.js";
import { diagnoseSink } from "./diagnose-sink.js";
import { type Finding, find } from "./finding.js";
import { requireRedis } from "./run-redis.js";

/** All findings, in the order in which a run needs them. A `failed` one means that a run would not work. */
export async function diagnose(context: CallContext): Promise<Finding[]> {
  const { places, options } = context;
  return [
    machine(),
    await find("redis", () => describeRedis(context)),
    ...(await findServers(places.stateDir)),
    await find("model", async () => {
      await resolveModel(places.cacheDir, options.model);
      if (!(await isModelCached(places.cacheDir, options.model)))
        throw new LabelmillError("MODEL_NOT_PULLED", { name: options.model });
      return `${options.model} in ${modelDirectory(places.cacheDir, options.model)}`;
    }),
    ...(await diagnoseEngines(context)),
    await diagnoseSink(),
  ];
}

function machine(): Finding {
  const gibibytes = Math.round(totalmem() / 2 ** 30);
  return { subject: "machine", state: "ok", detail: `${availableParallelism()} cores, ${gibibytes} GiB of memory` };
}

async function describeRedis(context: CallContext): Promise<string> {
  const url = context.options.redisUrl;
  if (url !== null) {
    await (await requireRedis(context)).close({ discard: false });
    return `${redactUrl(url)} answers and does not evict`;
  }
  const program = await findServer(context.places.searchPath);
  const { stdout } = await promisify(execFile)(program, ["--version"]);
  const version = /v=(\S+)/.exec(stdout)?.[1] ?? "unknown version";
  return `${program} ${version}, started privately for each run (no --redis-url given)`;
}

async function findServers(stateDir: string): Promise<Finding[]> {
  try {
    return (await listServers(stateDir)).map(describeServer);
  } catch (error) {
    return [{ subject: "running", state: "failed", detail: messageOf(error) }];
  }
}

function describeServer({ runId, out, url, startedAt }: RegisteredServer): Finding {
  const detail = `run ${runId} into ${out} has its private server at ${url} since ${startedAt}`;
  return { subject: "running", state: "info", detail };
}
