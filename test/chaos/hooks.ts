/**
 * Loaded into a process under test before anything else (`node --import`): notes every step of a chunk's way in the attempt
 * log, and ends or halts the process at the points of its plan. It wraps what the product calls (files, Redis, the compute
 * child), so the product needs no hooks and the steps are the real ones.
 */
import childProcess, { type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync } from "node:fs";
import files from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { basename, dirname } from "node:path";
import { Redis } from "ioredis";
import {
  commitChunkScript,
  completeRunScript,
  createRunScript,
  growRunScript,
  sealRunScript,
} from "../../src/shared/run-scripts.js";
import { type Act, type Passage, type Plan, type Point, planVariable, type Step, toLogLine } from "./plan.js";

const plan = JSON.parse(process.env[planVariable] ?? '{"log":"/dev/null","acts":[]}') as Plan;
const passed = new Map<Point, number>();
let child: ChildProcess | null = null;

function pass(point: Point, of?: string): void {
  const nth = (passed.get(point) ?? 0) + 1;
  passed.set(point, nth);
  const act = plan.acts.find((each) => each.point === point && each.nth === nth);
  const note: Passage = {
    atMs: Date.now(),
    pid: process.pid,
    point,
    ...(of && { of }),
    ...(act && { acted: act.what }),
  };
  appendFileSync(plan.log, toLogLine(note));
  if (act !== undefined) perform(act.what);
}

function perform(what: Act["what"]): void {
  if (what === "kill-child") child?.kill("SIGKILL");
  else process.kill(process.pid, what === "kill" ? "SIGKILL" : "SIGSTOP");
}

async function around<T>(step: Step | null, of: string | undefined, action: () => Promise<T>): Promise<T> {
  if (step === null) return action();
  pass(`${step}:before`, of);
  const result = await action();
  pass(`${step}:after`, of);
  return result;
}

// Files: a part is written under a temporary name in parts/, then linked.
const { open, link, readFile } = files;
const isSegment = (path: unknown) => /segment-\d+\.jsonl\.gz$/.test(String(path));
files.open = ((path, flags, mode) => {
  const step = flags === "wx" && basename(dirname(String(path))) === "parts" ? "part" : null;
  return around(step, undefined, () => open(path, flags, mode));
}) satisfies typeof open;
files.link = ((from, to) =>
  around(stepOfLink(basename(String(to))), basename(String(to)), () => link(from, to))) satisfies typeof link;
files.readFile = ((path: never, options: never) =>
  around(isSegment(path) ? "items" : null, undefined, () => readFile(path, options))) as typeof readFile;

function stepOfLink(name: string): Step | null {
  if (name.startsWith("part-")) return "link";
  if (isSegment(name)) return "segment";
  if (name === "sealed.json") return "sealed";
  return name === "summary.json" ? "summary" : null;
}

// Redis: a script is known by the digest of its text.
const stepOfScript = new Map<string, Step>();
for (const [{ sha1 }, step] of [
  [createRunScript, "register"],
  [growRunScript, "grow"],
  [sealRunScript, "seal"],
  [commitChunkScript, "count"],
  [completeRunScript, "complete"],
] as const) {
  stepOfScript.set(sha1, step);
}
const bullSteps: readonly (readonly [RegExp, Step])[] = [
  [/^moveToActive/, "take"],
  [/^moveToFinished/, "acknowledge"],
  [/^extendLock\b/, "renew"],
  [/^addStandardJob/, "enqueue"],
];
const { defineCommand, sendCommand } = Redis.prototype;
Redis.prototype.defineCommand = function (name, definition) {
  const step = bullSteps.find(([pattern]) => pattern.test(name))?.[1];
  if (step !== undefined) stepOfScript.set(createHash("sha1").update(definition.lua).digest("hex"), step);
  return defineCommand.call(this, name, definition);
};
Redis.prototype.sendCommand = function (command, stream) {
  const { name, args } = command;
  const text = String(args[0]);
  const sha1 = name === "eval" ? createHash("sha1").update(text).digest("hex") : text;
  const step = name === "evalsha" || name === "eval" ? stepOfScript.get(sha1) : undefined;
  if (step === undefined) return sendCommand.call(this, command, stream);
  if (step !== "take") pass(`${step}:before`, argumentOf(step, args));
  command.promise.then(
    (reply: unknown) => {
      if (step !== "take") pass(`${step}:after`);
      else if (Array.isArray(reply) && typeof reply[1] === "string" && reply[1] !== "0") pass("take:after", reply[1]);
    },
    () => {},
  );
  return sendCommand.call(this, command, stream);
};

/** The chunk's number where the step counts one. Arguments: digest, number of keys, four keys, epoch, chunk. */
function argumentOf(step: Step, args: readonly unknown[]): string | undefined {
  return step === "count" ? String(args[7]) : undefined;
}

// The compute child: images go in, results come out.
const { fork } = childProcess;
childProcess.fork = ((entry: string, ...rest: never[]) => {
  const forked = fork(plan.childEntry ?? entry, ...rest);
  const send = forked.send.bind(forked) as (...args: unknown[]) => boolean;
  forked.send = ((message: { type?: string }, ...more: unknown[]) => {
    const sent = send(message, ...more);
    // After the call, so that a child which is killed here has been given the image.
    if (message.type === "image") pass("predict:before");
    return sent;
  }) as typeof forked.send;
  forked.on("message", (message: { type?: string }) => {
    if (message.type === "results") pass("predict:after");
  });
  child = forked;
  return forked;
}) as typeof fork;

syncBuiltinESMExports();
