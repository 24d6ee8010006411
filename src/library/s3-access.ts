import { LabelmillError } from "../shared/errors.js";
import type { ResolvedOptions } from "../shared/options.js";
import type { S3AccessSettings } from "../shared/s3/access.js";
import type { Places } from "./places.js";

/**
 * How this process reaches an S3 store: by its options, else by AWS's variables. Looks for credentials when they are first
 * needed. Throws OPTION_INVALID.
 */
export function readS3Settings(
  { s3Endpoint, s3Region, s3Credentials: kind }: Pick<ResolvedOptions, "s3Endpoint" | "s3Region" | "s3Credentials">,
  { env, home }: Pick<Places, "env" | "home">,
): S3AccessSettings {
  const endpoint = s3Endpoint ?? (env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL || null);
  const region = s3Region ?? (env.AWS_REGION || env.AWS_DEFAULT_REGION || null);
  if (region !== null && !/^[a-z0-9-]{1,32}$/.test(region)) {
    const expected = "the name of a region";
    throw new LabelmillError("OPTION_INVALID", { option: "s3Region", expected, value: region, from: "AWS_REGION" });
  }
  const aws = Object.fromEntries(Object.entries(env).filter(([name]) => name.startsWith("AWS_")));
  return { endpoint, region, credentials: { kind, env: aws, home } };
}
