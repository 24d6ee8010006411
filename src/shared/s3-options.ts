/** Which object store `s3:` uris, of items and of datasets, are in, and how it is reached: a part of the table in `option-table.ts`, which alone reads it. */
import { z } from "zod";
import { type CommandName, option, text } from "./option-spec.js";
import { type CredentialKind, credentialKinds } from "./s3/credentials.js";

const reading: readonly CommandName[] = [
  ...(["run", "enqueue", "work", "models verify", "results", "results search", "runs"] as const),
  ...(["plan", "diff", "runs retry", "schedule"] as const),
];

export const s3Options = {
  s3Endpoint: option<string | null>({
    flag: "--s3-endpoint <url>",
    class: "policy",
    commands: reading,
    description: "store that s3: uris are in, whatever its address; buckets stand in the path unless it is AWS",
    expected: "an http: or https: address",
    schema: text.regex(/^https?:\/\//i).nullable(),
    default: null,
    defaultText: "AWS_ENDPOINT_URL_S3, else AWS_ENDPOINT_URL, else AWS",
    mayHoldSecret: true,
  }),
  s3Region: option<string | null>({
    flag: "--s3-region <name>",
    class: "policy",
    commands: reading,
    description: "region that requests are signed for, unless the store names another one for a bucket",
    expected: "a name of lower-case letters, digits and -",
    schema: text.regex(/^[a-z0-9-]{1,32}$/).nullable(),
    default: null,
    defaultText: "AWS_REGION, else AWS_DEFAULT_REGION, else us-east-1",
  }),
  s3Credentials: option<CredentialKind>({
    flag: "--s3-credentials <from>",
    class: "policy",
    commands: reading,
    description:
      "where the store's credentials come from; auto takes the first that has some of environment, file, container and, for AWS, instance, and signs nothing where none has",
    expected: credentialKinds.join(", "),
    schema: z.enum(credentialKinds),
    default: "auto",
  }),
} as const;
