/**
 * Whether engines say the same of the same images, and how fast each is. The engines run one after the other, each in a
 * compute child of its own; only their answers come here, and are compared with those of the first. `models verify` and
 * `doctor` call it.
 */
import type { EngineName } from "../shared/engine-names.js";
import { isCode, LabelmillError, messageOf } from "../shared/errors.js";
import type { Log } from "../shared/log.js";
import type { ComputeSettings } from "./compute/protocol.js";
import { type EngineTrial, type TrialOutput, tryEngine } from "./engine-trial.js";
import { type Agreement, compareOutputs, isWithinLimits } from "./model/agreement.js";

/** One engine's line of a comparison. */
export interface ComparedEngine extends Omit<EngineTrial, "outputs"> {
  /** What was asked for: `onnx`. */
  readonly asked: EngineName;
  /** With the first engine; null for that one itself. */
  readonly agreement: Agreement | null;
  /** Best class and score of each image, null where it cannot be decoded. */
  readonly top: readonly (Pick<TrialOutput, "topIndex" | "topScore"> | null)[];
}

/** An engine that was not compared, with the reason and what to do. */
export interface AbsentEngine {
  readonly asked: EngineName;
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

export interface CompareOptions {
  readonly engines: readonly EngineName[];
  /** Whether an engine that cannot run is an error, or listed as absent. */
  readonly isRequired: boolean;
  /** Engines that the caller leaves out; they are listed as absent. @default none */
  readonly leftOut?: readonly AbsentEngine[];
  /** Encoded bytes. */
  readonly images: readonly Uint8Array[];
  readonly settings: ComputeSettings;
  readonly log: Log;
}

/** Throws MODEL_*, ENGINE_FAILED, and ENGINE_UNAVAILABLE where a required engine, or every one, cannot run. */
export async function compareEngines(options: CompareOptions): Promise<EngineComparison> {
  const { images, settings, log } = options;
  const compared: ComparedEngine[] = [];
  const absent: AbsentEngine[] = [...(options.leftOut ?? [])];
  let reference: EngineTrial["outputs"] | null = null;
  for (const asked of options.engines) {
    log.debug("measuring engine", { engine: asked });
    try {
      const { outputs, ...trial } = await tryEngine(asked, images, settings, log);
      const agreement = reference === null ? null : compareOutputs(present(reference), present(outputs));
      reference ??= outputs;
      compared.push({ asked, ...trial, agreement, top: outputs.map(topOf) });
    } catch (error) {
      if (options.isRequired || !isCode(error, "ENGINE_UNAVAILABLE")) throw error;
      absent.push({ asked, reason: messageOf(error).replace(unavailable, "") });
    }
  }
  if (reference === null) {
    const reason = absent.map(({ reason }) => reason).join("; ");
    throw new LabelmillError("ENGINE_UNAVAILABLE", { engine: options.engines.join(", "), reason });
  }
  const agree = compared.every(({ agreement }) => agreement === null || isWithinLimits(agreement));
  return { compared, absent, images: present(reference).length, agree };
}

/** How ENGINE_UNAVAILABLE begins, which says no more than the list does. */
const unavailable = /^Engine \S+ cannot run here: /;

const present = (outputs: EngineTrial["outputs"]): TrialOutput[] => outputs.filter((output) => output !== null);

const topOf = (output: TrialOutput | null): ComparedEngine["top"][number] =>
  output === null ? null : { topIndex: output.topIndex, topScore: output.topScore };
