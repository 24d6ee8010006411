/**
 * Which hosts are given up for a while because none of their requests is answered: unreachable, refusing, silent, without a
 * name. Else each of their items would take its own tries (with the defaults six at once, three times 10 s: 139 h for
 * 100,000 items), and chunks that hold such items would hold up all others once there are more than a worker takes at a time.
 *
 *     asked ──`tries` failures in a row over at least `windowMs`──> given up for `restMs` ──> one probe
 *       ^──────────────────────────── any answer ─────────────────────────────────────────────┘ └──fails──> given up
 *
 * The window is what an item's own tries may take at most, so an outage that items outlast by themselves gives no host up.
 */
import type { ItemErrorCode } from "../../shared/errors.js";

export interface DeadHostSettings {
  /** So many at least: hosts with few items are left to those items' own tries. */
  readonly tries: number;
  readonly windowMs: number;
  readonly restMs: number;
}

/** Times are of `performance.now`. */
export interface DeadHosts {
  /** Why the host is not to be asked now, or null. After its rest the first to ask is let through, and the others wait on. */
  refusal(host: string, nowMs: number): { readonly code: ItemErrorCode; readonly reason: string } | null;
  answered(host: string): void;
  /** A request ended without any answer. */
  failed(host: string, code: ItemErrorCode, nowMs: number): void;
}

interface Silence {
  readonly sinceMs: number;
  /** Of the last failure. */
  lastMs: number;
  tries: number;
  code: ItemErrorCode;
  /** No request before then; null while the host is not given up. */
  untilMs: number | null;
}

/** Of a list with millions of hosts the ones of late are known. */
const mostHosts = 10_000;
const leastWindowMs = 60_000;

/** For requests with these deadlines. */
export function deadHostSettings(policy: {
  readonly fetchRetries: number;
  readonly connectTimeoutMs: number;
  readonly headersTimeoutMs: number;
}): DeadHostSettings {
  const ownTriesMs = (policy.fetchRetries + 1) * (policy.connectTimeoutMs + policy.headersTimeoutMs);
  return { tries: 10, windowMs: Math.max(leastWindowMs, ownTriesMs), restMs: 30_000 };
}

export function createDeadHosts({ tries, windowMs, restMs }: DeadHostSettings): DeadHosts {
  const silences = new Map<string, Silence>();

  const begin = (host: string, code: ItemErrorCode, nowMs: number): Silence => {
    const [oldest] = silences.keys();
    if (silences.size >= mostHosts && oldest !== undefined) silences.delete(oldest);
    const silence = { sinceMs: nowMs, lastMs: nowMs, tries: 0, code, untilMs: null };
    silences.set(host, silence);
    return silence;
  };

  return {
    refusal(host, nowMs) {
      const silence = silences.get(host);
      if (silence === undefined || silence.untilMs === null) return null;
      if (nowMs >= silence.untilMs) {
        silence.untilMs = nowMs + restMs;
        return null;
      }
      const seconds = (ms: number) => Math.ceil(ms / 1000);
      const over = `${silence.tries} tries in ${seconds(nowMs - silence.sinceMs)} s`;
      const rest = `it is given up for ${seconds(silence.untilMs - nowMs)} s`;
      return { code: silence.code, reason: `its host has answered none of ${over}; ${rest}` };
    },
    answered: (host) => void silences.delete(host),
    failed(host, code, nowMs) {
      const before = silences.get(host);
      // Failures that are far apart are of several troubles, which the host may have been rid of in between.
      const isOfNow = before !== undefined && nowMs - before.lastMs < windowMs;
      const silence = isOfNow ? before : begin(host, code, nowMs);
      silence.tries += 1;
      silence.lastMs = nowMs;
      silence.code = code;
      if (silence.tries >= tries && nowMs - silence.sinceMs >= windowMs) silence.untilMs = nowMs + restMs;
    },
  };
}
