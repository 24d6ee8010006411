import { LabelmillError } from "../shared/errors.js";
import { type Log, silentLog } from "../shared/log.js";
import { type Options, type ResolvedOptions, resolveOptions } from "../shared/options.js";
import { unlessAborted } from "../shared/unless-aborted.js";
import { findPlaces, type Places } from "./places.js";

/** What every call of the library takes: any options, and what the caller wants to see and stop. */
export interface CallOptions extends Options {
  /** Where log lines go. @default none */
  readonly log?: Log;
  /** Aborting drains: `run` and `enqueue` end with RUN_INTERRUPTED, and the same call goes on later; a worker ends. */
  readonly signal?: AbortSignal;
  /** Told of the weights' download, if one is needed. */
  readonly onPull?: (progress: { receivedBytes: number; totalBytes: number }) => void;
}

/** A call with everything filled in. */
export interface CallContext {
  readonly options: ResolvedOptions;
  readonly places: Places;
  readonly log: Log;
  /** Aborts with RUN_INTERRUPTED. */
  readonly signal: AbortSignal;
  readonly onPull: (progress: { receivedBytes: number; totalBytes: number }) => void;
  /** Aborts when the call has ended. */
  readonly ended: AbortSignal;
  /** Lets go of the caller's signal; to be called when the call has ended. */
  release(): void;
}

/** Throws OPTION_INVALID. The library reads no config file and, but for the places, no environment. */
export function resolveCall({ log = silentLog, signal, onPull = () => {}, ...given }: CallOptions): CallContext {
  const options = resolveOptions({ flags: given });
  return { options, places: findPlaces(options.cacheDir), log, onPull, ...interruptedBy(signal) };
}

/** Rejects with the signal's reason once it aborts. */
export function interruption(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const interrupt = () => reject(signal.reason);
    if (signal.aborted) interrupt();
    else signal.addEventListener("abort", interrupt, { once: true });
  });
}

/** What `task` gives, unless the signal aborts first: then the task is left to itself, and what it still asks for ends with the call. */
export function unlessInterrupted<T>(signal: AbortSignal, task: Promise<T>): Promise<T> {
  return unlessAborted(task, signal);
}

/** Whatever waits rejects with the signal's reason, so the reason is the error that a caller is to see. */
function interruptedBy(signal: AbortSignal | undefined): Pick<CallContext, "signal" | "ended" | "release"> {
  const controller = new AbortController();
  const interrupt = () => controller.abort(new LabelmillError("RUN_INTERRUPTED"));
  if (signal?.aborted) interrupt();
  else signal?.addEventListener("abort", interrupt, { once: true });
  const end = new AbortController();
  const release = () => {
    signal?.removeEventListener("abort", interrupt);
    end.abort(new LabelmillError("RUN_INTERRUPTED"));
  };
  return { signal: controller.signal, ended: end.signal, release };
}
