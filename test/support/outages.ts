/** For tests of outages: predictions that are held back until the trouble is there, and what must hold after it. */
import assert from "node:assert/strict";
import type { Prediction } from "../../src/worker/compute/protocol.js";
import { type Outcome, succeeded } from "../../src/worker/outcome.js";
import { somePrediction } from "./run-harness.js";

export interface GatedPredict {
  /** The images in the order of their coming. */
  readonly seen: readonly string[];
  readonly predict: (bytes: Uint8Array) => Promise<Outcome<Prediction>>;
  open(): void;
}

/** Predictions that wait for `open`. */
export function gatedPredict(): GatedPredict {
  const seen: string[] = [];
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const predict = async (bytes: Uint8Array) => {
    seen.push(Buffer.from(bytes).toString());
    await opened;
    return succeeded(somePrediction);
  };
  return { seen, predict, open: () => open() };
}

/** Asserts that each of `count` items was predicted, and none twice. */
export function assertOnceEach(seen: readonly string[], count: number): void {
  assert.deepEqual([...seen].sort(), Array.from({ length: count }, (_, i) => `/i/${i}`).sort());
}
