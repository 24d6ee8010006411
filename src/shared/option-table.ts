/**
 * The one table of options: name, flag, environment variable, class, default and check. `options.ts` resolves values by
 * it, `cli/` makes flags of it, and `docs/options.md` is compared with it by a test. The classes are those of the design:
 * *identity* is pinned in `run.json`, *policy* may change when a run is resumed, *execution* is each worker's own.
 */
import { availableParallelism } from "node:os";
import { z } from "zod";
import { type BatchSizeRequest, largestBatchSize } from "./batch-size.js";
import { type EmbeddingForm, embeddingForms } from "./embedding-form.js";
import { type DevicesRequest, type EngineName, type EngineRequest, engineNames } from "./engine-names.js";
import { fetchOptions } from "./fetch-options.js";
import { logFormats, logLevels } from "./log.js";
import { type CommandName, duration, gpuNumbers, integer, option, text, texts } from "./option-spec.js";
import { type Precision, precisions } from "./precision.js";
import { s3Options } from "./s3-options.js";
import { sourceOptionTable } from "./source-option-table.js";

const producing: readonly CommandName[] = ["run", "enqueue"];
const working: readonly CommandName[] = ["run", "work"];
const everywhere: readonly CommandName[] = [
  "run",
  "enqueue",
  "work",
  "models",
  "models verify",
  "doctor",
  "results",
  "runs",
  "results search",
];

export const optionTable = {
  out: option<string | null>({
    flag: "--out <dir>",
    class: "identity",
    commands: producing,
    description:
      "directory of the dataset; the default name holds the run's identity, so the same command finds it again",
    expected: "a directory",
    schema: text.nullable(),
    default: null,
    defaultText: "./labelmill-out/<source>-<8 hex of the identity>",
  }),
  ...sourceOptionTable,
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
    commands: [...producing, "work", "doctor"],
    description: "model to run, of the catalog or imported; see `labelmill models list`",
    expected: "the name of a model",
    schema: text,
    default: "resnet50",
  }),
  precision: option<Precision>({
    flag: "--precision <precision>",
    class: "identity",
    commands: [...producing, "work", "doctor"],
    description:
      "arithmetic of the model; int8 is about 3 times as fast on CPUs with VNNI, int8-7bit is for CPUs without",
    expected: "fp32, int8 or int8-7bit (there is no fp16 yet; take fp32 on a GPU)",
    schema: z.enum(precisions),
    default: "fp32",
  }),
  topK: option<number>({
    flag: "--top-k <n>",
    class: "identity",
    commands: producing,
    description: "classes kept a row, best first",
    expected: "an integer from 1 to 1000",
    schema: integer(1, 1000),
    default: 5,
  }),
  embedding: option<EmbeddingForm>({
    flag: "--embedding <form>",
    class: "identity",
    commands: producing,
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
    commands: ["run", "enqueue", "work", "doctor", "runs"],
    description: "Redis to use: redis://, rediss:// or a socket path; `run` without it starts a private server",
    expected: "a redis://, rediss:// or unix:// url or an absolute socket path",
    schema: z
      .string()
      .regex(/^(rediss?:\/\/|unix:\/\/|\/)/)
      .nullable(),
    default: null,
    defaultText: "none; `run` then starts a private server",
    env: "REDIS_URL",
  }),
  priority: option<number>({
    flag: "--priority <n>",
    class: "policy",
    commands: producing,
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
    commands: producing,
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
  outageTimeoutMs: option<number>({
    flag: "--outage-timeout-ms <ms>",
    class: "policy",
    commands: [...producing, "work"],
    description:
      "how long to wait for storage that is full, read-only or gone; then `run` and `enqueue` end, and `work` leaves the run for a while",
    expected: "an integer from 0 to 86400000",
    schema: integer(0, 86_400_000),
    default: 60_000,
  }),
  allowRoot: option<string[]>({
    flag: "--allow-root <dir>",
    class: "execution",
    commands: working,
    description: "directory that local files may be read from (repeatable); `run` always allows its own source",
    expected: "one or more directories",
    schema: texts,
    default: [],
  }),
  engine: option<EngineRequest>({
    flag: "--engine <name>",
    class: "execution",
    commands: [...working, "doctor", "results search"],
    description: "what executes the model; auto takes the fastest one here, any other runs or is an error",
    expected: "auto, onnx, wasm, tensorflow, webgpu, onnx-cuda or onnx-webgpu",
    schema: z.enum(["auto", ...engineNames]),
    default: "auto",
  }),
  engines: option<readonly EngineName[]>({
    flag: "--engines <names>",
    class: "execution",
    commands: ["models verify"],
    description: "engines to compare, with commas between them; the others are compared with the first",
    expected: "some of onnx, wasm, tensorflow, webgpu, onnx-cuda and onnx-webgpu",
    schema: z.preprocess(
      (value) => [value].flat().flatMap((each) => (typeof each === "string" ? each.split(",") : [each])),
      z.array(z.enum(engineNames)).refine((names) => new Set(names).size === names.length),
    ),
    default: [],
    defaultText: "every engine that is here",
  }),
  devices: option<DevicesRequest | null>({
    flag: "--devices <list>",
    class: "execution",
    commands: working,
    description: "CUDA GPUs to use, one compute process each: all, or their numbers with commas between them",
    expected: "all, or different numbers of GPUs such as 0,1",
    schema: z.union([z.literal("all"), gpuNumbers]).nullable(),
    default: null,
    defaultText: "one compute process, on the GPU that its engine takes",
  }),
  batchSize: option<BatchSizeRequest>({
    flag: "--batch-size <n>",
    class: "execution",
    commands: [...working, "models verify", "doctor"],
    description:
      "most images in one model call; auto measures some sizes at the start, for up to 3 s, and takes the fastest",
    expected: `auto or an integer from 1 to ${largestBatchSize}`,
    schema: z.union([z.literal("auto"), integer(1, largestBatchSize)]).nullable(),
    default: null,
    defaultText: "8 on a CPU, auto on a GPU",
  }),
  decodeConcurrency: option<number>({
    flag: "--decode-concurrency <n>",
    class: "execution",
    commands: working,
    description: "images decoded at once",
    expected: "an integer from 1 to 256",
    schema: integer(1, 256),
    default: availableParallelism(),
    defaultText: "number of cores",
  }),
  engineThreads: option<number>({
    flag: "--engine-threads <n>",
    class: "execution",
    commands: [...working, "models verify", "doctor", "results search"],
    description: "threads of one model call on a CPU; `wasm` takes 8 at most, each with a copy of the network",
    expected: "an integer from 1 to 256",
    schema: integer(1, 256),
    default: availableParallelism(),
    defaultText: "number of cores",
  }),
  chunksInFlight: option<number>({
    flag: "--chunks-in-flight <n>",
    class: "execution",
    commands: working,
    description: "chunks that one worker holds at once; up to 16 while web servers give it too little to do",
    expected: "an integer from 1 to 64",
    schema: integer(1, 64),
    default: 2,
  }),
  lockMs: option<number>({
    flag: "--lock-ms <ms>",
    class: "execution",
    commands: working,
    description: "time after which a silent worker's chunk goes to another",
    expected: "an integer from 1000 to 3600000",
    schema: integer(1000, 3_600_000),
    default: 30_000,
  }),
  drainTimeoutMs: option<number>({
    flag: "--drain-timeout-ms <ms>",
    class: "execution",
    commands: working,
    description: "time to finish chunks in hand after SIGTERM or SIGINT; the rest goes back to the queue",
    expected: "an integer from 0 to 3600000",
    schema: integer(0, 3_600_000),
    default: 10_000,
  }),
  cacheDir: option<string | null>({
    flag: "--cache-dir <dir>",
    class: "execution",
    commands: ["run", "enqueue", "work", "models", "models verify", "doctor", "results search"],
    description: "where models are kept",
    expected: "a directory",
    schema: text.nullable(),
    default: null,
    defaultText: "$XDG_CACHE_HOME/labelmill, else ~/.cache/labelmill",
  }),
  logLevel: option<(typeof logLevels)[number]>({
    flag: "--log-level <level>",
    class: "execution",
    commands: everywhere,
    description: "least severe lines that are logged, on stderr",
    expected: "error, warn, info or debug",
    schema: z.enum(logLevels),
    default: "info",
  }),
  logFormat: option<(typeof logFormats)[number]>({
    flag: "--log-format <format>",
    class: "execution",
    commands: everywhere,
    description: "form of the log lines",
    expected: "text or json",
    schema: z.enum(logFormats),
    default: "text",
  }),
} as const;

export type OptionName = keyof typeof optionTable;
