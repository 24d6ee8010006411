/**
 * What `labelmill doctor` finds: what is on this machine, what a run would use and why, and the proof that it works. Every
 * finding says what to do where something is missing.
 */
import { execFile } from "node:child_process";
import { availableParallelism, totalmem } from "node:os";
import { promisify } from "node:util";
import { LabelmillError, messageOf } from "../shared/errors.js";
import { findServer } from "../shared/private-redis.js";
import { redactUrl } from "../shared/redis.js";
import { listServers, type RegisteredServer } from "../shared/server-registry.js";
import { resolveModel } from "../worker/model/known-models.js";
import { isModelCached, modelDirectory } from "../worker/model/store.js";
import { proveModel } from "../worker/prove.js";
import type { CallContext } from "./context.js";
import { requireRedis } from "./run-redis.js";

export interface Finding {
  readonly subject: string;
  /** `info` is neither good nor bad: something that is not needed. */
  readonly state: "ok" | "info" | "failed";
  readonly detail: string;
}

/** All findings, in the order in which a run needs them. A `failed` one means that a run would not work. */
export async function diagnose(context: CallContext): Promise<Finding[]> {
  const { places, options } = context;
  return [
    machine(),
    await find("redis", () => describeRedis(context)),
    ...(await listServers(places.stateDir)).map(describeServer),
    await find("model", async () => {
      await resolveModel(places.cacheDir, options.model);
      if (!(await isModelCached(places.cacheDir, options.model)))
        throw new LabelmillError("MODEL_NOT_PULLED", { name: options.model });
      return `${options.model} in ${modelDirectory(places.cacheDir, options.model)}`;
    }),
    tensorflow(),
    await find("engine", () => describeEngine(context)),
  ];
}

async function find(subject: string, look: () => Promise<string>): Promise<Finding> {
  try {
    return { subject, state: "ok", detail: await look() };
  } catch (error) {
    return { subject, state: "failed", detail: messageOf(error) };
  }
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

function describeServer({ runId, out, url, startedAt }: RegisteredServer): Finding {
  const detail = `run ${runId} into ${out} has its private server at ${url} since ${startedAt}`;
  return { subject: "running", state: "info", detail };
}

function tensorflow(): Finding {
  const name = "@tensorflow/tfjs-node-gpu";
  try {
    import.meta.resolve(name);
    return { subject: "tensorflow", state: "info", detail: `${name} is installed; this version does not use it` };
  } catch {
    return {
      subject: "tensorflow",
      state: "info",
      detail: `${name} (optional) is not installed; this version does not need it`,
    };
  }
}

async function describeEngine({ options, places, log }: CallContext): Promise<string> {
  const { engine, label, score, loadMs, predictMs } = await proveModel(options, places.cacheDir, log);
  const why = "the only engine of this version";
  const proof = `the example photo is ${label} (${score.toFixed(2)}) after ${predictMs} ms`;
  return `${engine} chosen, ${why}; loaded in ${Math.round(loadMs)} ms, ${proof}`;
}
