/**
 * Where the credentials for an S3 store come from: the environment, the shared credentials file, the container, the
 * instance, in the order and under the names of AWS's own tools ("Standardized credential providers", AWS SDKs and Tools
 * Reference Guide). They stay in this process: no message here shows one. Roles, SSO and credential processes are not
 * followed; `aws configure export-credentials` makes variables of them.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { LabelmillError, messageOf, systemCode } from "../errors.js";
import { containerCredentials, instanceCredentials, type TimedCredentials } from "./metadata.js";
import type { S3Credentials } from "./sign.js";

export const credentialKinds = ["auto", "environment", "file", "container", "instance", "anonymous"] as const;
export type CredentialKind = (typeof credentialKinds)[number];

export interface CredentialSource {
  /** Null where there never were any: then requests are not signed. Throws OPTION_INVALID, STORAGE_FAILED. */
  get(): Promise<S3Credentials | null>;
  /** The next `get` looks again. */
  forget(): void;
  /** Where it looks, in words. */
  readonly places: string;
}

export interface CredentialSettings {
  readonly kind: CredentialKind;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Directory of the user, that `.aws/credentials` is in. */
  readonly home: string;
  /** Only AWS's own store is signed for, unasked, with what an instance is given. */
  readonly isAws: boolean;
}

type Provider = (isRequired: boolean) => Promise<TimedCredentials | null>;

/** What is about to end is replaced this early, and not again at once where that fails. */
const renewBeforeMs = 300_000;
const renewEveryMs = 30_000;
const goneReason = "there were credentials, and now there are none";

export function createCredentialSource(settings: CredentialSettings): CredentialSource {
  const providers = providersOf(settings);
  let known: Promise<TimedCredentials | null> | null = null;
  let hasFound = false;
  let renewAtMs = Number.POSITIVE_INFINITY;
  const places = providers.map(([name]) => name).join(", ") || "nowhere, as --s3-credentials is anonymous";
  const look = async () => {
    const found = await firstOf(providers, settings.kind !== "auto");
    // As while the file is written anew. Unsigned, every object would be a row that may not be read.
    if (found === null && hasFound) throw new LabelmillError("STORAGE_FAILED", { path: places, reason: goneReason });
    hasFound ||= found !== null;
    renewAtMs = (found?.expiresAtMs ?? Number.POSITIVE_INFINITY) - renewBeforeMs;
    return found;
  };
  const renew = (old: TimedCredentials | null) =>
    look().catch((error: unknown) => {
      if (old?.expiresAtMs != null && old.expiresAtMs > Date.now()) return old;
      throw error;
    });
  return {
    places,
    async get() {
      if (known === null) known = look();
      else if (Date.now() > renewAtMs) {
        renewAtMs = Date.now() + renewEveryMs;
        known = known.then(renew);
      }
      const pending = known;
      return pending.catch((error: unknown) => {
        if (known === pending) known = null;
        throw error;
      });
    },
    forget() {
      known = null;
    },
  };
}

async function firstOf(providers: readonly (readonly [string, Provider])[], isRequired: boolean) {
  for (const [, provide] of providers) {
    const found = await provide(isRequired);
    if (found !== null) return found;
  }
  return null;
}

function providersOf({ kind, env, home, isAws }: CredentialSettings): readonly (readonly [string, Provider])[] {
  const profile = env.AWS_PROFILE || "default";
  const all = {
    environment: ["environment", async (isRequired) => fromEnvironment(env, isRequired)],
    file: [`profile ${profile} of the credentials file`, (isRequired) => fromFile({ env, home, profile }, isRequired)],
    container: ["container", (isRequired) => containerCredentials(env, isRequired)],
    instance: ["instance", (isRequired) => instanceCredentials(env, isRequired)],
  } as const satisfies Record<string, readonly [string, Provider]>;
  if (kind === "anonymous") return [];
  if (kind !== "auto") return [all[kind]];
  return [all.environment, all.file, all.container, ...(isAws ? [all.instance] : [])];
}

function fromEnvironment(env: CredentialSettings["env"], isRequired: boolean): TimedCredentials | null {
  const { AWS_ACCESS_KEY_ID: id = "", AWS_SECRET_ACCESS_KEY: secret = "", AWS_SESSION_TOKEN: token = "" } = env;
  if (id === "" && secret === "" && !isRequired) return null;
  return checked({ id, secret, token }, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", "the environment");
}

async function fromFile(
  { env, home, profile }: Pick<CredentialSettings, "env" | "home"> & { profile: string },
  isRequired: boolean,
): Promise<TimedCredentials | null> {
  const path = env.AWS_SHARED_CREDENTIALS_FILE || join(home, ".aws", "credentials");
  const isNamed = isRequired || Boolean(env.AWS_SHARED_CREDENTIALS_FILE) || Boolean(env.AWS_PROFILE);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (systemCode(error) === "ENOENT" && !isNamed) return "";
    throw invalid("a credentials file that can be read", messageOf(error), "the credentials file", error);
  });
  const values = sectionOf(text, profile);
  const { aws_access_key_id: id = "", aws_secret_access_key: secret = "", aws_session_token: token = "" } = values;
  if (id === "" && secret === "" && !isNamed) return null;
  const names = `aws_access_key_id and aws_secret_access_key in profile ${profile} (roles and SSO are not followed)`;
  return checked({ id, secret, token }, names, "the credentials file");
}

/** Both keys or an error; all in characters that a header may hold. */
function checked(
  { id, secret, token }: { id: string; secret: string; token: string },
  names: string,
  from: string,
): TimedCredentials {
  const isSound = [id, secret, token || "none"].every((value) => /^[\x21-\x7e]+$/.test(value));
  if (!isSound) throw invalid(`credentials: ${names}`, "***", from);
  return { accessKeyId: id, secretAccessKey: secret, sessionToken: token || null, expiresAtMs: null };
}

/** Of the file's own form: `[name]`, then `key = value` lines; `#` and `;` begin comments. */
function sectionOf(text: string, name: string): Record<string, string> {
  const values: Record<string, string> = {};
  let isInside = false;
  for (const line of text.split(/\r?\n/)) {
    const section = /^\s*\[\s*(?:profile\s+)?(.*?)\s*\]/.exec(line)?.[1];
    if (section !== undefined) isInside = section === name;
    const [, key, value = ""] = /^([a-z_]+)\s*=\s*(.*?)\s*$/i.exec(line) ?? [];
    if (isInside && key !== undefined) values[key.toLowerCase()] = value;
  }
  return values;
}

const invalid = (expected: string, value: string, from: string, cause?: unknown) =>
  new LabelmillError("OPTION_INVALID", { option: "s3Credentials", expected, value, from }, { cause });
