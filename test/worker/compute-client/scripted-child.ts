/**
 * Entry of a compute child that does what its images tell it: each is one letter. It speaks the real protocol and dies in
 * real ways, which real images cannot be made to cause. Its argument says how it starts: `works`, `works elsewhere`
 * (on a CPU that calls itself so), `works narrowly`, `works slowly` (400 ms an image), `dies`, `fatal`, or `never`.
 *
 *     o  answers    f  answers with a failure    c  crashes    h  hangs    s  is reported as overdue    x  is fatal
 *     p  answers with its process id, as a class    w  works for 1.5 s without a word, then answers
 *     b  answers with the batch size that it was told, as a class    l  answers, and has its memory's batch size lowered to 2
 */

import { failure } from "../../../src/shared/errors.js";
import type { ComputeSettings, FromChild, Prediction, ToChild } from "../../../src/worker/compute/protocol.js";
import { failedWith, type Outcome, succeeded } from "../../../src/worker/outcome.js";

const send = (message: FromChild): void => void process.send?.(message);
/** Long enough that a burst of images is inside together. */
const workMs = 30;

const prediction: Prediction = {
  width: 1,
  height: 1,
  format: "png",
  topIndices: [7],
  topScores: [1],
  embedding: new Float32Array([1, 2]),
};

let askedBatchSize: number | undefined;

function start({ batchSize: asked }: ComputeSettings): void {
  askedBatchSize = typeof asked === "number" ? asked : -1;
  const how = process.argv[2] ?? "never";
  if (how === "dies") {
    process.stderr.write("cannot find my engine\n");
    process.exit(3);
  }
  if (how === "fatal") send({ type: "fatal", code: "MODEL_CORRUPT", message: "The cached model m is damaged" });
  if (how.startsWith("works"))
    send({
      type: "ready",
      report: {
        engine: how === "works elsewhere" ? "scripted/cpu" : "scripted",
        chosen: "wasm",
        isOnGpu: false,
        why: "a test",
        embeddingWidth: how === "works narrowly" ? 1 : 2,
        loadMs: 0,
        imageMs: how === "works slowly" ? 400 : 0,
        batchSize: typeof asked === "number" ? asked : 3,
        whyBatchSize: "a test",
      },
    });
}

function answer(id: number, outcome: Outcome<Prediction>): void {
  send({ type: "results", results: [{ id, outcome }], times: { decodeMs: 1, inferMs: 2, batches: 1, images: 1 } });
}

function work(id: number, letter: string): void {
  if (letter === "o") answer(id, succeeded(prediction));
  if (letter === "p") answer(id, succeeded({ ...prediction, topIndices: [process.pid] }));
  if (letter === "b") answer(id, succeeded({ ...prediction, topIndices: [askedBatchSize ?? 0] }));
  if (letter === "l") {
    send({ type: "lowered", limit: 2, reason: "told to" });
    answer(id, succeeded(prediction));
  }
  if (letter === "f") answer(id, failedWith(failure("DECODE_CORRUPT", { reason: "told to" })));
  if (letter === "w") setTimeout(() => answer(id, succeeded(prediction)), 1_500);
  if (letter === "c") process.kill(process.pid, "SIGSEGV");
  if (letter === "s") send({ type: "overdue", id });
  if (letter === "x")
    send({ type: "fatal", code: "ENGINE_FAILED", message: "The compute process cannot work: told to" });
  if (letter === "h") for (;;);
}

process.once("disconnect", () => process.exit());
process.on("message", (message: ToChild) => {
  if (message.type === "start") return start(message.settings);
  setTimeout(() => work(message.id, String.fromCharCode(message.bytes[0] ?? 0)), workMs);
});
