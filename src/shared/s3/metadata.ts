/**
 * Credentials that a container or an instance of AWS is given, from the services that its documentation names ("Container
 * credential provider", "IMDS credential provider"). These requests are the tool's own and never an item's: they go to the
 * addresses that are written here or stand in the environment, follow no redirect, and end soon.
 */
import { readFile } from "node:fs/promises";
import { LabelmillError, messageOf, systemCode } from "../errors.js";
import { parseUrl } from "../http-uri.js";
import type { S3Credentials } from "./sign.js";

export interface TimedCredentials extends S3Credentials {
  /** Null where they have no end that is known. */
  readonly expiresAtMs: number | null;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** In milliseconds, for each request: a container's service was named, and so is there. */
const containerTimeoutMs = 10_000;
/** As AWS's own tools have it, in seconds, where `AWS_METADATA_SERVICE_TIMEOUT` says nothing else: most machines have no such service. */
const instanceTimeoutSeconds = 1;
const longestTimeoutSeconds = 60;
/** Where a container's credentials may be asked for in clear. */
const containerHosts: ReadonlySet<string> = new Set([
  ...["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "127.0.0.1", "[::1]", "localhost"],
]);

/** Of ECS and EKS. Null where the environment names no such service, unless it is required. Throws STORAGE_FAILED. */
export async function containerCredentials(env: Environment, isRequired: boolean): Promise<TimedCredentials | null> {
  const relative = env.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI;
  const full = relative ? `http://169.254.170.2${relative}` : env.AWS_CONTAINER_CREDENTIALS_FULL_URI;
  const fail = failing("the container's credentials");
  if (!full) {
    if (isRequired) throw fail(new Error("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and …_FULL_URI are not set"));
    return null;
  }
  try {
    const url = parseUrl(full);
    if (url === null || (url.protocol !== "https:" && !containerHosts.has(url.hostname)))
      throw new Error("AWS_CONTAINER_CREDENTIALS_FULL_URI names neither https nor a service of AWS or this machine");
    if (url.username !== "" || url.password !== "")
      throw new Error("AWS_CONTAINER_CREDENTIALS_FULL_URI holds a user name or password");
    const tokenFile = env.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE;
    const token = tokenFile ? (await readFile(tokenFile, "utf8")).trim() : env.AWS_CONTAINER_AUTHORIZATION_TOKEN;
    // As a header it would be refused in words that quote it.
    if (token && !/^[\x20-\x7e]+$/.test(token)) throw new Error("its authorization token is not printable ASCII");
    const request = token ? { headers: { authorization: token } } : {};
    return credentialsIn(await ask(url.href, request, containerTimeoutMs));
  } catch (error) {
    throw fail(error);
  }
}

/** Of EC2 (IMDSv2). Null where no such service answers, or it has no role, unless it is required. Throws STORAGE_FAILED. */
export async function instanceCredentials(env: Environment, isRequired: boolean): Promise<TimedCredentials | null> {
  const base = env.AWS_EC2_METADATA_SERVICE_ENDPOINT || "http://169.254.169.254";
  const rolesUrl = `${base.replace(/\/$/, "")}/latest/meta-data/iam/security-credentials/`;
  const fail = failing("the instance's credentials");
  if (env.AWS_EC2_METADATA_DISABLED?.toLowerCase() === "true") {
    if (isRequired) throw fail(new Error("AWS_EC2_METADATA_DISABLED is true"));
    return null;
  }
  const timeoutMs = instanceTimeoutMs(env);
  let role: { readonly name: string; readonly headers: Record<string, string> };
  try {
    const tokenUrl = new URL("/latest/api/token", base).href;
    const asked = { method: "PUT", headers: { "x-aws-ec2-metadata-token-ttl-seconds": "21600" } };
    const headers = { "x-aws-ec2-metadata-token": await ask(tokenUrl, asked, timeoutMs) };
    role = { name: (await ask(rolesUrl, { headers }, timeoutMs)).trim().split("\n")[0] ?? "", headers };
  } catch (error) {
    // Not a machine of AWS, or one without a role: there is nothing to be had here.
    if (!isRequired) return null;
    throw fail(error);
  }
  try {
    const url = `${rolesUrl}${encodeURIComponent(role.name)}`;
    return credentialsIn(await ask(url, { headers: role.headers }, timeoutMs));
  } catch (error) {
    throw fail(error);
  }
}

function instanceTimeoutMs({ AWS_METADATA_SERVICE_TIMEOUT: given = "" }: Environment): number {
  const seconds = Number(given);
  return 1000 * Math.min(longestTimeoutSeconds, seconds > 0 ? seconds : instanceTimeoutSeconds);
}

async function ask(url: string, request: RequestInit, timeoutMs: number): Promise<string> {
  const signal = AbortSignal.timeout(timeoutMs);
  const answer = await fetch(url, { ...request, redirect: "error", signal });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`it answered with status ${answer.status}`);
  return text;
}

/** Both services answer in one form. No text of an answer stands in a message. */
function credentialsIn(text: string): TimedCredentials {
  const { AccessKeyId: id, SecretAccessKey: secret, Token: token, Expiration: end } = parseObject(text);
  const isSound = [id, secret, token].every((value) => typeof value === "string" && /^[\x21-\x7e]+$/.test(value));
  const expiresAtMs = typeof end === "string" ? Date.parse(end) : Number.NaN;
  if (!isSound || Number.isNaN(expiresAtMs)) throw new Error("its answer holds no credentials");
  return {
    accessKeyId: String(id),
    secretAccessKey: String(secret),
    sessionToken: String(token),
    expiresAtMs,
  };
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(text));
  } catch {
    // The parser's own words would quote the text.
    throw new Error("its answer is not JSON");
  }
}

/** An error of fetch has its reason in its cause. */
function failing(path: string): (error: unknown) => LabelmillError {
  return (error) => {
    const { cause } = error as { cause?: unknown };
    const reason = systemCode(cause) ?? messageOf(error);
    return new LabelmillError("STORAGE_FAILED", { path, reason }, { cause: error });
  };
}
