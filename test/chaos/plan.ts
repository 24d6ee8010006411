/** What the harness of a chaos round and the hooks inside the processes under test tell each other. */
import { readFile } from "node:fs/promises";

/** Steps of a chunk's way, and of the producer's, in the process that holds the locks. */
export const workerSteps = ["take", "items", "predict", "part", "link", "count", "acknowledge", "renew"] as const;
export const finishSteps = ["summary", "complete"] as const;
export const producerSteps = ["register", "segment", "grow", "enqueue", "sealed", "seal"] as const;

export type Step = (typeof workerSteps)[number] | (typeof finishSteps)[number] | (typeof producerSteps)[number];
/** Just before a step, or just after it. */
export type Point = `${Step}:${"before" | "after"}`;

export interface Act {
  readonly point: Point;
  /** Happens when the process passes the point for the n-th time, from 1. */
  readonly nth: number;
  /** `kill` and `stop` (SIGKILL, SIGSTOP) end or halt this process; `kill-child` ends its compute child. */
  readonly what: "kill" | "stop" | "kill-child";
}

/** What a round did to its run. */
export interface Happening {
  readonly told: string;
  /** Uri -> code of the rows that must have failed. */
  readonly failed?: ReadonlyMap<string, string>;
}

/** In the environment of a process under test, as JSON. */
export interface Plan {
  /** File that every passage of a point is appended to. */
  readonly log: string;
  readonly acts: readonly Act[];
  /** Another entry for the compute child. */
  readonly childEntry?: string;
}

export const planVariable = "LABELMILL_CHAOS_PLAN";

/** One line of the attempt log. */
export interface Passage {
  readonly atMs: number;
  readonly pid: number;
  readonly point: Point;
  /** Job id or path, where the step has one. */
  readonly of?: string;
  readonly acted?: Act["what"];
}

/** A passage as it stands in the attempt log: on a line of its own, whatever a process that was killed left before it. */
export const toLogLine = (passage: Passage): string => `\n${JSON.stringify(passage)}\n`;

/**
 * The attempt log so far, without lines that are there in part: a process may be killed while it writes one, and another
 * may be writing. A whole line, and no other, ends in a brace.
 */
export async function readLog(file: string): Promise<Passage[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text
    .split("\n")
    .filter((line) => line.endsWith("}"))
    .map((line) => JSON.parse(line) as Passage);
}
