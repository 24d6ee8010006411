/**
 * Whether engines say the same of the same images, and how fast each is. The engines run one after the other, each in a
 * compute child of its own; only their answers come here, and are compared with those of the first. `models verify` and
 * `doctor` call it.
 */
import type { EngineName } from "../shared/engine-names.js";
import { isCode, LabelmillError, messageOf } from "../shared/errors.js";
import type { Log } from "../shared/log.js";
import type { Precision } from "../shared/precision.js";
import type { ComputeSettings } from "./compute/protocol.js";
import { type EngineTrial, type TrialOutput, tryEngine } from "./engine-trial.js";
import { type Agreement, compareOutputs, isWithinLimits, limitsOf } from "./model/agreement.js";

/** One engine's line of a comparison. */
export interface ComparedEngine extends Omit<EngineTrial, "outputs"> {
  /** What was asked for: `onnx`. */
  readonly asked: EngineName;
  readonly precision: Precision;
  /** With the first engine; null for that one itself. */
  readonly agreement: Agreement | null;
  /** Best class and score of each image, null where it cannot be decoded. */
  readonly top: readonly (Pick<TrialOutput, "topIndex" | "topScore"> | null)[];
}

/** An engine that was not compared, with the reason and what to do. */
export interface AbsentEngine {
  readonly asked: EngineName;
  readonly precision: Precision;
  readonly reason: string;
}

export interface EngineComparison {
  readonly compared: readonly ComparedEngine[];
  readonly absent: readonly AbsentEngine[];
  /** Images that were compared; the others cannot be decoded. */
  readonly images: number;
  /** Whether every engine is within the limits of `model/agreement`. */
  readonly agree: boolean;
}

/** An engine in one precision; `settings` name both. */
export interface ComparedVariant {
  readonly settings: ComputeSettings & { readonly engine: EngineName };
  /** Whether it is an error that it cannot run, or it is then listed as absent. */
  readonly isRequired: boolean;
}

export interface CompareOptions {
  readonly variants: readonly ComparedVariant[];
  /** Engines that the caller leaves out; they are listed as absent. @default none */
  readonly leftOut?: readonly AbsentEngine[];
  /** Encoded bytes. */
  readonly images: readonly Uint8Array[];
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Throws MODEL_*, ENGINE_FAILED, and ENGINE_UNAVAILABLE where a required engine, or every one, cannot run. */
export async function compareEngines(options: CompareOptions): Promise<EngineComparison> {
  const { variants, images, log, signal } = options;
  const compared: ComparedEngine[] = [];
  const absent: AbsentEngine[] = [...(options.leftOut ?? [])];
  let reference: EngineTrial["outputs"] | null = null;
  for (const { settings, isRequired } of variants) {
    const { engine: asked, precision } = settings;
    log.debug("measuring engine", { engine: asked, precision });
    try {
      const { outputs, ...trial } = await tryEngine(images, settings, { log, signal });
      const agreement = reference === null ? null : compareOutputs(reference, outputs);
      reference ??= outputs;
      compared.push({ asked, precision, ...trial, agreement, top: outputs.map(topOf) });
    } catch (error) {
      if (isRequired || !isCode(error, "ENGINE_UNAVAILABLE")) throw error;
      absent.push({ asked, precision, reason: messageOf(error).replace(unavailable, "") });
    }
  }
  if (reference === null) {
    const reason = absent.map(({ reason }) => reason).join("; ");
    throw new LabelmillError("ENGINE_UNAVAILABLE", {
      engine: variants.map(({ settings }) => settings.engine).join(", "),
      reason,
    });
  }
  const agree = compared.every(isSound);
  return { compared, absent, images: present(reference).length, agree };
}

/** Whether it stands for the first one within the limits of its precision. */
export function isSound({ agreement, precision }: Pick<ComparedEngine, "agreement" | "precision">): boolean {
  return agreement === null || isWithinLimits(agreement, limitsOf(precision));
}

/** How ENGINE_UNAVAILABLE begins, which says no more than the list does. */
const unavailable = /^Engine \S+ cannot run here: /;

const present = (outputs: EngineTrial["outputs"]): TrialOutput[] => outputs.filter((output) => output !== null);

const topOf = (output: TrialOutput | null): ComparedEngine["top"][number] =>
  output === null ? null : { topIndex: output.topIndex, topScore: output.topScore };
