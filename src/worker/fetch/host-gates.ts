/**
 * Keeps requests to one host apart from those to all others: at most so many at once, at most so many a second, and none
 * while the host asks for a pause; who would wait long for its end is turned away. Waiting here holds nothing that another host needs, so a dead or slow host is a queue of
 * its own. A gate exists only while its host has requests, or a pause that is not over.
 */
export interface HostGates {
  /** Resolves, first come first served, with the function that lets the next one in. Rejects with the signal's reason and `close`'s. */
  enter(host: string, signal: AbortSignal): Promise<() => void>;
  /** Lets nobody in for `ms` from now. */
  pause(host: string, ms: number): void;
  /** The same, and turns away who waits there or comes meanwhile: `enter` rejects with `reason`. */
  close(host: string, ms: number, reason: Error): void;
  /** How many gates there are. */
  readonly size: number;
}

export interface HostGateSettings {
  readonly perHost: number;
  /** Requests a second and host; null is no limit. */
  readonly rate: number | null;
}

/** Milliseconds from any start on, and timers of them. */
export interface GateClock {
  now(): number;
  start(callback: () => void, ms: number): GateTimer;
}

export interface GateTimer {
  cancel(): void;
  /** Lets the process end meanwhile. */
  unref(): void;
}

interface Waiter {
  start(): void;
  turnAway(reason: Error): void;
}

interface Gate {
  active: number;
  readonly waiting: Set<Waiter>;
  /** When the next one may enter. */
  opensAtMs: number;
  /** Why nobody waits for that; null where who comes waits. */
  closed: Error | null;
  timer: GateTimer | undefined;
}

const ownClock: GateClock = {
  now: () => performance.now(),
  start(callback, ms) {
    const timer = setTimeout(callback, ms);
    return { cancel: () => clearTimeout(timer), unref: () => void timer.unref() };
  },
};

export function createHostGates({ perHost, rate }: HostGateSettings, clock: GateClock = ownClock): HostGates {
  const gates = new Map<string, Gate>();
  const intervalMs = rate === null ? 0 : 1000 / rate;

  const gateOf = (host: string): Gate => {
    const gate = gates.get(host) ?? { active: 0, waiting: new Set(), opensAtMs: 0, closed: null, timer: undefined };
    gates.set(host, gate);
    return gate;
  };

  /** Lets in who may enter now; then waits for the time at which the next may, or lets go of an idle gate. */
  const pump = (host: string, gate: Gate): void => {
    gate.timer?.cancel();
    letIn(gate, { perHost, intervalMs, now: clock.now() });
    const waitMs = gate.opensAtMs - clock.now();
    if (waitMs > 0) {
      gate.timer = clock.start(() => pump(host, gate), waitMs);
      // A pause alone keeps no process alive.
      if (gate.waiting.size === 0) gate.timer.unref();
    } else if (gate.active === 0 && gate.waiting.size === 0) gates.delete(host);
  };

  const pause = (host: string, ms: number): Gate => {
    const gate = gateOf(host);
    gate.opensAtMs = Math.max(gate.opensAtMs, clock.now() + ms);
    pump(host, gate);
    return gate;
  };

  return {
    async enter(host, signal) {
      signal.throwIfAborted();
      const gate = gateOf(host);
      if (gate.closed !== null && clock.now() < gate.opensAtMs) throw gate.closed;
      await turnAt(gate, signal, () => pump(host, gate));
      let isInside = true;
      return () => {
        if (isInside) gate.active -= 1;
        isInside = false;
        pump(host, gate);
      };
    },
    pause,
    close(host, ms, reason) {
      const gate = pause(host, ms);
      gate.closed = reason;
      for (const waiter of gate.waiting) waiter.turnAway(reason);
    },
    get size() {
      return gates.size;
    },
  };
}

interface Admission {
  readonly perHost: number;
  readonly intervalMs: number;
  readonly now: number;
}

function letIn(gate: Gate, { perHost, intervalMs, now }: Admission): void {
  if (now >= gate.opensAtMs) gate.closed = null;
  for (const waiter of gate.waiting) {
    if (gate.active >= perHost || now < gate.opensAtMs) return;
    gate.opensAtMs = now + intervalMs;
    gate.active += 1;
    gate.waiting.delete(waiter);
    waiter.start();
  }
}

/** Waits in the gate's queue; `pump` after every change of it. */
function turnAt(gate: Gate, signal: AbortSignal, pump: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const waiter: Waiter = {
      start() {
        signal.removeEventListener("abort", giveUp);
        resolve();
      },
      turnAway(reason) {
        signal.removeEventListener("abort", giveUp);
        gate.waiting.delete(waiter);
        reject(reason);
      },
    };
    const giveUp = () => {
      waiter.turnAway(signal.reason);
      pump();
    };
    signal.addEventListener("abort", giveUp, { once: true });
    gate.waiting.add(waiter);
    pump();
  });
}
