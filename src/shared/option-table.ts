/**
 * The one table of options: name, flag, environment variable, class, default and check. `options.ts` resolves values by
 * it, `cli/` makes flags of it, and `docs/options.md` is compared with it by a test. The classes are those of the design:
 * *identity* is pinned in `run.json`, *policy* may change when a run is resumed, *execution* is each worker's own.
 */
import { z } from "zod";
import { commonOptions } from "./common-options.js";
import { type EmbeddingForm, embeddingForms } from "./embedding-form.js";
import { fetchOptions } from "./fetch-options.js";
import { healthOptions } from "./health-options.js";
import { type CommandName, duration, integer, option, text } from "./option-spec.js";
import { type Precision, precisions } from "./precision.js";
import { reprocessOptions } from "./reprocess-options.js";
import { s3Options } from "./s3-options.js";
import { sinkOptions } from "./sink-options.js";
import { sourceOptionTable } from "./source-option-table.js";
import { workerOptions } from "./worker-options.js";

const producing: readonly CommandName[] = ["run", "enqueue"];
const working: readonly CommandName[] = ["run", "work", "runs retry"];

export const optionTable = {
  out: option<string | null>({
    flag: "--out <place>",
    class: "identity",
    commands: producing,
    description:
      "directory of the dataset, or s3://bucket/prefix; the default name holds the run's identity, so the same command finds it again",
    expected: "a directory or s3://bucket/prefix",
    schema: text.nullable(),
    default: null,
    defaultText: "./labelmill-out/<source>-<8 hex of the identity>",
  }),
  ...sourceOptionTable,
  ...reprocessOptions,
  chunkSize: option<number>({
    flag: "--chunk-size <n>",
    class: "identity",
    commands: producing,
    description: "items of one queued job, and rows of one part",
    expected: "an integer from 1 to 4096",
    schema: integer(1, 4096),
    default: 256,
  }),
  model: option<string>({
    flag: "--model <name>",
    class: "identity",
    commands: [...producing, "work", "doctor", "plan"],
    description: "model to run, of the catalog or imported; see `labelmill models list`",
    expected: "the name of a model",
    schema: text,
    default: "resnet50",
  }),
  precision: option<Precision>({
    flag: "--precision <precision>",
    class: "identity",
    commands: [...producing, "work", "doctor", "plan"],
    description:
      "arithmetic of the model; int8 is about 3 times as fast on CPUs with VNNI, int8-7bit is for CPUs without",
    expected: "fp32, int8 or int8-7bit (there is no fp16 yet; take fp32 on a GPU)",
    schema: z.enum(precisions),
    default: "fp32",
  }),
  topK: option<number>({
    flag: "--top-k <n>",
    class: "identity",
    commands: [...producing, "plan"],
    description: "classes kept a row, best first",
    expected: "an integer from 1 to 1000",
    schema: integer(1, 1000),
    default: 5,
  }),
  embedding: option<EmbeddingForm>({
    flag: "--embedding <form>",
    class: "identity",
    commands: [...producing, "plan"],
    description: "keep the embedding as float32, as float16 in half the space, or none",
    expected: "float32, float16 or none",
    schema: z.enum(embeddingForms),
    default: "float32",
  }),
  format: option<"parquet" | "jsonl">({
    flag: "--format <format>",
    class: "identity",
    commands: producing,
    description: "file format of the parts",
    expected: "parquet or jsonl",
    schema: z.enum(["parquet", "jsonl"]),
    default: "parquet",
  }),
  redisUrl: option<string | null>({
    flag: "--redis-url <url>",
    class: "policy",
    commands: ["run", "enqueue", "work", "exporter", "doctor", "runs", "runs retry", "schedule"],
    description: "Redis to use: redis://, rediss:// or a socket path; `run` without it starts a private server",
    expected: "a redis://, rediss:// or unix:// url or an absolute socket path",
    schema: z
      .string()
      .regex(/^(rediss?:\/\/|unix:\/\/|\/)/)
      .nullable(),
    default: null,
    defaultText: "none; `run` then starts a private server",
    mayHoldSecret: true,
    env: "REDIS_URL",
  }),
  priority: option<number>({
    flag: "--priority <n>",
    class: "policy",
    commands: [...producing, "runs retry"],
    description: "workers take chunks of the run with the highest first; runs of the same priority share them evenly",
    expected: "an integer from -100 to 100",
    schema: z
      .union([
        z.number(),
        z
          .string()
          .regex(/^-?\d+$/)
          .transform(Number),
      ])
      .pipe(z.int().min(-100).max(100)),
    default: 0,
  }),
  keep: option<string>({
    flag: "--keep <duration>",
    class: "policy",
    commands: [...producing, "runs retry"],
    description: "how long Redis keeps the record of the run once it has ended; the dataset stays",
    expected: "a duration from 60s to 3650d, as 90m, 12h or 7d",
    schema: duration,
    default: "7d",
  }),
  maxItemBytes: option<number>({
    flag: "--max-item-bytes <n>",
    class: "policy",
    commands: [...working, "results search"],
    description: "largest encoded image that is read",
    expected: "an integer from 1024 to 1073741824",
    schema: integer(1024, 2 ** 30),
    default: 128 * 2 ** 20,
  }),
  itemTimeoutMs: option<number>({
    flag: "--item-timeout-ms <ms>",
    class: "policy",
    commands: [...working, "results search"],
    description: "longest decode of one image before it fails with LIMIT_TIME",
    expected: "an integer from 100 to 3600000",
    schema: integer(100, 3_600_000),
    default: 20_000,
  }),
  ...fetchOptions,
  ...s3Options,
  ...sinkOptions,
  outageTimeoutMs: option<number>({
    flag: "--outage-timeout-ms <ms>",
    class: "policy",
    commands: [...producing, "work", "runs retry"],
    description:
      "how long to wait for storage that is full, read-only, refused or gone; then `run` and `enqueue` end, and `work` leaves the run for a while",
    expected: "an integer from 0 to 86400000",
    schema: integer(0, 86_400_000),
    default: 60_000,
  }),
  ...workerOptions,
  ...healthOptions,
  ...commonOptions,
} as const;

export type OptionName = keyof typeof optionTable;
