import { randomBytes } from "node:crypto";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LabelmillError, messageOf } from "../../shared/errors.js";
import type { Precision } from "../../shared/precision.js";
import type { Agreement, agreementLimits } from "./agreement.js";

/** `certificate.json`, beside a model's weights: which engines said the same of which images, and how fast, on one machine. */
export interface Certificate {
  readonly format: 1;
  readonly model: string;
  /** Of the float32 weights. */
  readonly modelSha256: string;
  readonly preprocessSha256: string;
  /** ISO 8601, UTC. */
  readonly madeAt: string;
  /** Of labelmill. */
  readonly version: string;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly system: string;
  };
  readonly images: number;
  /** sha256, in hex, over the bytes of all that could be read, in their order. */
  readonly imagesSha256: string;
  /** Those that were not compared: first what cannot be read, then what cannot be decoded. */
  readonly skipped: readonly { readonly uri: string; readonly reason: string }[];
  readonly engineThreads: number;
  readonly limits: typeof agreementLimits;
  /** Whether every engine is within the limits; null where there is one engine alone. */
  readonly agree: boolean | null;
  /** The first one is what the others are compared with. */
  readonly engines: readonly {
    readonly engine: string;
    readonly precision: Precision;
    readonly loadMs: number;
    readonly batchSize: number;
    readonly imagesPerSecond: number;
    readonly agreement: Agreement | null;
  }[];
  readonly absent: readonly { readonly asked: string; readonly precision: Precision; readonly reason: string }[];
}

/** Puts the certificate beside the model, in place of an earlier one, and returns its path. Throws STORAGE_FAILED. */
export async function writeCertificate(modelDir: string, certificate: Certificate): Promise<string> {
  const path = join(modelDir, "certificate.json");
  const draft = `${path}.${randomBytes(4).toString("hex")}.tmp`;
  try {
    await writeFile(draft, `${JSON.stringify(certificate, null, 2)}\n`, { flag: "wx" });
    await rename(draft, path);
    return path;
  } catch (error) {
    await rm(draft, { force: true });
    throw new LabelmillError("STORAGE_FAILED", { path, reason: messageOf(error) }, { cause: error });
  }
}
