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
    const gate = gates.get(host) ?? { active: 0, waiting: new Set(), opensAtMs: 0, timer: undefined };
    gates.set(host, gate);
    return gate;
  };

  /** Lets in who may enter now; then waits for the time at which the next may, or lets go of an idle gate. */
  const pump = (host: string, gate: Gate): void => {
    clearTimeout(gate.timer);
    letIn(gate, perHost, intervalMs);
    const waitMs = gate.opensAtMs - performance.now();
    if (waitMs > 0) {
      gate.timer = setTimeout(() => pump(host, gate), waitMs);
      // A pause alone keeps no process alive.
      if (gate.waiting.size === 0) gate.timer.unref();
    } else if (gate.active === 0 && gate.waiting.size === 0) gates.delete(host);
  };

  return {
    async enter(host, signal) {
      signal.throwIfAborted();
      const gate = gateOf(host);
      await turnAt(gate, signal, () => pump(host, gate));
      let isInside = true;
      return () => {
        if (isInside) gate.active -= 1;
        isInside = false;
        pump(host, gate);
      };
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

function letIn(gate: Gate, perHost: number, intervalMs: number): void {
  for (const start of gate.waiting) {
    const now = performance.now();
    if (gate.active >= perHost || now < gate.opensAtMs) return;
    gate.opensAtMs = now + intervalMs;
    gate.active += 1;
    gate.waiting.delete(start);
    start();
  }
}

/** Waits in the gate's queue; `pump` after every change of it. */
function turnAt(gate: Gate, signal: AbortSignal, pump: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const start = () => {
      signal.removeEventListener("abort", giveUp);
      resolve();
    };
    const giveUp = () => {
      gate.waiting.delete(start);
      pump();
      reject(signal.reason);
    };
    signal.addEventListener("abort", giveUp, { once: true });
    gate.waiting.add(start);
    pump();
  });
}
