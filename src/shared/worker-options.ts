/** What each worker is free to choose for itself: a part of the table in `option-table.ts`, which alone reads it. */
import { availableParallelism } from "node:os";
import { z } from "zod";
import { type BatchSizeRequest, largestBatchSize } from "./batch-size.js";
import { type DevicesRequest, type EngineName, type EngineRequest, engineNames } from "./engine-names.js";
import { type CommandName, gpuNumbers, integer, option, texts } from "./option-spec.js";

const working: readonly CommandName[] = ["run", "work", "runs retry"];

export const workerOptions = {
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
    commands: [...working, "schedule"],
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
} as const;
