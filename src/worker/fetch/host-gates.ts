/**
 * Keeps requests to one host apart from those to all others: at most so many at once, at most so many a second, and none
 * while the host asks for a pause. Waiting here holds nothing that another host needs, so a dead or slow host is a queue of
 * its own. A gate exists only while its host has requests, or a pause that is not over.
 */
export interface HostGates {
  /** Resolves, first come first served, with the function that lets the next one in. Rejects with the signal's reason. */
  enter(host: string, signal: AbortSignal): Promise<() => void>;
  /** Lets nobody in for `ms` from now. */
  pause(host: string, ms: number): void;
  /** How many gates there are. */
  readonly size: number;
}

export interface HostGateSettings {
  readonly perHost: number;
  /** Requests a second and host; null is no limit. */
  readonly rate: number | null;
}

interface Gate {
  active: number;
  readonly waiting: Set<() => void>;
  /** When the next one may enter, on the clock of `performance.now`. */
  opensAtMs: number;
  timer: NodeJS.Timeout | undefined;
}

export function createHostGates({ perHost, rate }: HostGateSettings): HostGates {
  const gates = new Map<string, Gate>();
  const intervalMs = rate === null ? 0 : 1000 / rate;

  const gateOf = (host: string): Gate => {
    let gate = gates.get(host);
    if (gate === undefined) {
      gate = { active: 0, waiting: new Set(), opensAtMs: 0, timer: undefined };
      gates.set(host, gate);
    }
    return gate;
  };

  const pump = (host: string, gate: Gate): void => {
    clearTimeout(gate.timer);
    for (const start of gate.waiting) {
      const now = performance.now();
      if (gate.active >= perHost || now < gate.opensAtMs) break;
      gate.opensAtMs = now + intervalMs;
      gate.active += 1;
      gate.waiting.delete(start);
      start();
    }
    const waitMs = gate.opensAtMs - performance.now();
    if (gate.active === 0 && gate.waiting.size === 0 && waitMs <= 0) gates.delete(host);
    else if (waitMs > 0) {
      gate.timer = setTimeout(() => pump(host, gate), waitMs);
      // A pause alone keeps no process alive.
      if (gate.waiting.size === 0) gate.timer.unref();
    }
  };

  return {
    enter(host, signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const gate = gateOf(host);
        const leave = once(() => {
          gate.active -= 1;
          pump(host, gate);
        });
        const start = () => {
          signal.removeEventListener("abort", giveUp);
          resolve(leave);
        };
        const giveUp = () => {
          gate.waiting.delete(start);
          pump(host, gate);
          reject(signal.reason);
        };
        signal.addEventListener("abort", giveUp, { once: true });
        gate.waiting.add(start);
        pump(host, gate);
      });
    },
    pause(host, ms) {
      const gate = gateOf(host);
      gate.opensAtMs = Math.max(gate.opensAtMs, performance.now() + ms);
      pump(host, gate);
    },
    get size() {
      return gates.size;
    },
  };
}

function once(action: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) action();
    isDone = true;
  };
}
