/**
 * Keeps one compute child at work and answers every image, whatever becomes of the child. It runs in the process that
 * holds the queue's locks, so it loads no native code and never blocks. Called through `compute-client`; tests give it
 * other children.
 *
 *     starting --ready--> working --the child ends--> resting --backoff--> starting
 *
 *     starting, the child ends      -> resting; the third end in a row without an answer -> broken
 *     working, with images inside   -> `ledger` finds the culprit, which is WORKER_CRASH; all others are done again
 *     working, an image is overdue  -> the child is killed, that image is LIMIT_TIME, all others are done again
 *     working, nothing heard        -> the child is killed; as for any death, save that a culprit is LIMIT_TIME
 *     the child reports fatal       -> broken: every prediction rejects with its error
 *     a later child runs elsewhere  -> broken too: what was reported of the first one holds for every row
 *     close()                       -> closed, from any state; the child is killed
 */
import type { ChildProcess } from "node:child_process";
import { errorFromAfar, failure, LabelmillError } from "../../shared/errors.js";
import { type Log, silentLog } from "../../shared/log.js";
import { type Deadline, startDeadline } from "../compute/deadline.js";
import type { ComputeSettings, EngineReport, FromChild, Prediction, StageTimes } from "../compute/protocol.js";
import { addTimes } from "../compute/tally.js";
import { failedWith, type Outcome } from "../outcome.js";
import { type ChildHandle, watchChild } from "./child-handle.js";
import { createLedger, type Ledger } from "./ledger.js";

/** Predictions from a process of its own; owns that process until `close`. */
export interface ComputeClient {
  /** Of the first child; a restarted one runs the same model on the same engine. */
  readonly report: EngineReport;
  /** The process ids of the children at present; one that is between two of them has none. */
  readonly pids: readonly number[];
  /**
   * Resolves for every image, whatever it holds, with a prediction of `topK` classes or a failure. Rejects only when the child cannot work
   * at all (ENGINE_FAILED, ENGINE_UNAVAILABLE, MODEL_*), and with RUN_INTERRUPTED when the client is closed. `bytes` must
   * stay unchanged until then, as they may be sent again. Any number of calls may wait; a few batches are sent ahead.
   */
  predict(bytes: Uint8Array, topK: number): Promise<Outcome<Prediction>>;
  /** Sums over all children so far. */
  times(): StageTimes & { readonly restarts: number };
  /** Ends the child and rejects what still waits. May be called again. */
  close(): Promise<void>;
}

export interface ComputeClientOptions {
  /** Told of each child's end, and of each line of its standard error. */
  readonly log?: Pick<Log, "warn"> | undefined;
  readonly timing?: Partial<ClientTiming> | undefined;
  /** Ends the client as `close` does, also while it starts. */
  readonly signal?: AbortSignal | undefined;
}

/** In milliseconds. */
export interface ClientTiming {
  /** Until a child must be ready: the first image takes 110 s on a software GPU and two idle cores. */
  readonly startTimeoutMs: number;
  /** Silence that is allowed beyond one decode's time: a model call on a slow machine. */
  readonly silenceMarginMs: number;
  /** And at least for each image of a batch, since a batch answers as a whole: wasm took 0.5 s an image on a busy core. */
  readonly imageMarginMs: number;
  /** Rest after a child that ended without any work; doubles. */
  readonly backoffMs: number;
}

const defaultTiming: ClientTiming = {
  startTimeoutMs: 600_000,
  silenceMarginMs: 30_000,
  imageMarginMs: 1_000,
  backoffMs: 250,
};
/** A batch may take so many times what its images took one by one at the start: a machine gets busier. */
const slowdown = 5;
/** Children that may end in a row without one answer from any. */
const maxIdleEnds = 3;

interface Pending {
  readonly bytes: Uint8Array;
  readonly topK: number;
  readonly resolve: (outcome: Outcome<Prediction>) => void;
  readonly reject: (error: LabelmillError) => void;
}

/** Why this client killed its child. */
type Verdict = { readonly overdueId: number } | "silent" | "not ready";

/** Starts the first child and resolves when it is ready; rejects with the LabelmillError that says why none can work. */
export function createComputeClient(
  spawnChild: () => ChildProcess,
  settings: ComputeSettings,
  options: ComputeClientOptions = {},
): Promise<ComputeClient> {
  // An abort that came before is no event any more.
  if (options.signal?.aborted) return Promise.reject(new LabelmillError("RUN_INTERRUPTED"));
  return new Promise((resolve, reject) => {
    const client = new SupervisedClient(spawnChild, settings, options, (error) =>
      error === null ? resolve(client) : reject(error),
    );
    client.start();
    options.signal?.addEventListener("abort", () => void client.close(), { once: true });
  });
}

class SupervisedClient implements ComputeClient {
  readonly #spawnChild: () => ChildProcess;
  /** Of the next child: from the first one's report on it has its engine and batch size, so nothing is chosen twice. */
  #settings: ComputeSettings;
  readonly #log: Pick<Log, "warn">;
  readonly #timing: ClientTiming;
  readonly #ledger: Ledger<Pending> = createLedger();
  readonly #onFirst: (error: LabelmillError | null) => void;
  #state: "starting" | "working" | "resting" | "broken" | "closed" = "resting";
  #child: ChildHandle | null = null;
  #report: EngineReport | null = null;
  /** What every prediction rejects with, once broken or closed. */
  #error: LabelmillError | null = null;
  #verdict: Verdict | null = null;
  #deadline: Deadline | null = null;
  #rest: NodeJS.Timeout | undefined;
  #times: StageTimes = { decodeMs: 0, inferMs: 0, batches: 0, images: 0 };
  #restarts = 0;
  #idleEnds = 0;

  constructor(
    spawnChild: () => ChildProcess,
    settings: ComputeSettings,
    { log, timing }: ComputeClientOptions,
    onFirst: (error: LabelmillError | null) => void,
  ) {
    this.#spawnChild = spawnChild;
    this.#settings = settings;
    this.#log = log ?? silentLog;
    this.#timing = { ...defaultTiming, ...timing };
    this.#onFirst = onFirst;
  }

  get report(): EngineReport {
    if (this.#report === null) throw new Error("Expected the client to be used after it was ready");
    return this.#report;
  }

  get pids(): readonly number[] {
    return this.#child?.pid === undefined ? [] : [this.#child.pid];
  }

  times(): StageTimes & { readonly restarts: number } {
    return { ...this.#times, restarts: this.#restarts };
  }

  predict(bytes: Uint8Array, topK: number): Promise<Outcome<Prediction>> {
    if (this.#error !== null) return Promise.reject(this.#error);
    return new Promise((resolve, reject) => {
      this.#ledger.add({ bytes, topK, resolve, reject });
      this.#dispatch();
    });
  }

  async close(): Promise<void> {
    if (this.#state !== "broken") this.#end("closed", new LabelmillError("RUN_INTERRUPTED"));
    await this.#child?.ended;
  }

  start(): void {
    this.#state = "starting";
    this.#verdict = null;
    const child = watchChild(this.#spawnChild(), {
      onMessage: (message) => this.#hear(message),
      onEnd: (reason) => this.#bury(reason),
      onLine: (line) => this.#log.warn("compute process wrote to its standard error", { line }),
    });
    this.#child = child;
    this.#deadline = startDeadline(this.#timing.startTimeoutMs, () => this.#kill("not ready"));
    child.send({ type: "start", settings: this.#settings });
  }

  /** Sends what may be sent now; a no-op unless a child is ready. */
  #dispatch(): void {
    if (this.#state !== "working" || this.#verdict !== null) return;
    const wasIdle = this.#ledger.inFlight === 0;
    // One batch in the engine, one ready for it, and what the decoders hold.
    const most = 2 * this.report.batchSize + this.#settings.decodeConcurrency;
    for (let next = this.#ledger.send(most); next !== null; next = this.#ledger.send(most)) {
      this.#child?.send({ type: "image", id: next.id, bytes: next.image.bytes, topK: next.image.topK });
    }
    if (this.#ledger.inFlight === 0) this.#deadline?.cancel();
    else if (wasIdle) this.#deadline?.renew();
  }

  #hear(message: FromChild): void {
    if (this.#state !== "starting" && this.#state !== "working") return;
    if (this.#state === "working") this.#deadline?.renew();
    switch (message.type) {
      case "ready":
        this.#welcome(message.report);
        break;
      case "results":
        this.#idleEnds = 0;
        this.#times = addTimes(this.#times, message.times);
        for (const { id, outcome } of message.results) this.#ledger.settle(id)?.resolve(outcome);
        this.#dispatch();
        break;
      case "overdue":
        this.#kill({ overdueId: message.id });
        break;
      case "lowered":
        this.#settings = { ...this.#settings, batchSize: message.limit };
        this.#log.warn(`the engine ran out of memory: ${message.reason}`, { batchSize: message.limit });
        break;
      case "fatal":
        this.#end("broken", errorFromAfar(message.code, message.message));
        break;
    }
  }

  #welcome(report: EngineReport): void {
    const change = this.#report === null ? null : changeOf(this.#report, report);
    if (change !== null) {
      this.#end("broken", new LabelmillError("ENGINE_FAILED", { reason: change }));
      return;
    }
    this.#deadline?.cancel();
    this.#deadline = startDeadline(this.#silenceMs(report), () => this.#kill("silent"));
    this.#state = "working";
    if (this.#report === null) {
      this.#report = report;
      this.#settings = { ...this.#settings, engine: report.chosen, batchSize: report.batchSize };
      this.#onFirst(null);
    }
    this.#dispatch();
  }

  /** How long a working child may say nothing. */
  #silenceMs({ batchSize, imageMs }: EngineReport): number {
    const { silenceMarginMs, imageMarginMs } = this.#timing;
    return this.#settings.itemTimeoutMs + silenceMarginMs + batchSize * Math.max(imageMarginMs, slowdown * imageMs);
  }

  #kill(verdict: Verdict): void {
    this.#verdict ??= verdict;
    this.#child?.kill();
  }

  /** The child has ended, of itself or because this client killed it. */
  #bury(reason: string): void {
    this.#child = null;
    this.#deadline?.cancel();
    if (this.#state === "broken" || this.#state === "closed") return;
    const cause = this.#describeEnd(reason);
    this.#log.warn(`compute process ended: ${cause}`, { imagesInFlight: this.#ledger.inFlight });
    if (this.#ledger.inFlight === 0) this.#idleEnds += 1;
    else this.#judge(cause);
    if (this.#idleEnds >= maxIdleEnds) {
      this.#end("broken", new LabelmillError("ENGINE_FAILED", { reason: cause }));
      return;
    }
    this.#state = "resting";
    this.#restarts += 1;
    const restMs = this.#idleEnds === 0 ? 0 : this.#timing.backoffMs * 2 ** (this.#idleEnds - 1);
    this.#rest = setTimeout(() => this.start(), restMs);
  }

  /** Finds the image that the child ended over, and answers it. */
  #judge(cause: string): void {
    const verdict = this.#verdict;
    const isOverdue = verdict !== null && typeof verdict === "object";
    const culprit = isOverdue ? this.#ledger.convict(verdict.overdueId) : this.#ledger.bury(verdict === "silent");
    const tookTooLong = failure("LIMIT_TIME", { limit: this.#settings.itemTimeoutMs });
    culprit?.resolve(failedWith(verdict === null ? failure("WORKER_CRASH", { reason: cause }) : tookTooLong));
  }

  #describeEnd(reason: string): string {
    if (this.#verdict === "not ready") return `it was not ready after ${this.#timing.startTimeoutMs} ms`;
    if (this.#verdict === "silent") return "it no longer answered";
    return this.#verdict === null ? reason : "one image took too long";
  }

  /** Enters a state that is never left. */
  #end(state: "broken" | "closed", error: LabelmillError): void {
    this.#state = state;
    this.#error ??= error;
    clearTimeout(this.#rest);
    this.#deadline?.cancel();
    for (const { reject } of this.#ledger.drain()) reject(this.#error);
    this.#child?.kill();
    if (this.#report === null) this.#onFirst(this.#error);
  }
}

/** How a later child differs from the first in what is said of its rows; null where it does not. */
function changeOf(first: EngineReport, later: EngineReport): string | null {
  const [expected, found] = [first, later].map(
    ({ engine, isOnGpu, embeddingWidth }) =>
      `${engine} (${isOnGpu ? "on a GPU" : "not known to be on a GPU"}, embeddings of ${embeddingWidth})`,
  );
  return found === expected ? null : `started again, it runs as ${found}, and not as ${expected} as before`;
}
