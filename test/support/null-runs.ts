/**
 * Runs of real files with a model that is a function of the bytes: real sources, pinning, queue, fetch, parts, and no
 * inference. For claims about what is done again and what is not.
 */
import { createHash } from "node:crypto";
import { createRunHead } from "../../src/dataset/run-head.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { compareWith, openEarlierRun } from "../../src/library/against.js";
import { resolveCall } from "../../src/library/context.js";
import { enqueueRun, registerRun } from "../../src/producer/enqueue.js";
import { openSubmission } from "../../src/producer/submission.js";
import { type Options, resolveOptions } from "../../src/shared/options.js";
import type { Redis } from "../../src/shared/redis.js";
import type { Prediction } from "../../src/worker/compute/protocol.js";
import { openFetcher } from "../../src/worker/fetch/open-fetcher.js";
import { describeModel } from "../../src/worker/model/describe-model.js";
import { type Outcome, succeeded } from "../../src/worker/outcome.js";
import { completed, startTestConsumer, testOutages, testPolicy } from "./run-harness.js";

export interface NullRun {
  readonly redis: Redis;
  readonly source: string;
  /** Below which the items lie. */
  readonly root: string;
  readonly options: Options & { readonly out: string };
  /** @default `predictionOf` */
  readonly predict?: (bytes: Uint8Array) => Outcome<Prediction>;
}

/** What the model says of these bytes, and of no others. */
export function predictionOf(bytes: Uint8Array): Prediction {
  const digest = createHash("sha256").update(bytes).digest();
  return {
    width: 4,
    height: 3,
    format: "png",
    topIndices: [digest.readUInt8(0) % 2, 7],
    topScores: [digest.readUInt8(1) / 256, 0],
    embedding: Float32Array.from({ length: 4 }, (_, i) => digest.readUInt8(i + 2) / 255),
  };
}

/** Does the run to its end. Returns how many images the model saw, and how many were fetched. */
export async function runWithoutModel({ redis, source, root, options: given, predict }: NullRun) {
  const options = resolveOptions({ flags: given });
  const model = await describeModel(root, options.model, options.precision);
  const signal = new AbortController().signal;
  const context = resolveCall(given);
  const earlier = options.against === null ? null : await openEarlierRun(context, options.against);
  const against = earlier === null ? null : compareWith(earlier, { options, model, signal });
  const submission = await openSubmission([source], options, { cwd: root, model, against });
  const storage = openStorage(submission.out);
  const { head } = await createRunHead(storage, submission.identity);
  await registerRun({ head, storage, redis, policy: testPolicy });
  await enqueueRun({ head, storage, redis, source: submission.source, outages: testOutages, signal });
  const http = { ...options, allowPrivate: ["all"] };
  const fetcher = await openFetcher({ allowRoots: [root], maxItemBytes: options.maxItemBytes, http });
  const seen = { predicted: 0, fetched: [] as string[] };
  const consumer = startTestConsumer(redis, {
    allowRoots: [root],
    model,
    fetcher: {
      fetch(uri, ...rest) {
        seen.fetched.push(uri);
        return fetcher.fetch(uri, ...rest);
      },
      async fetchUnless(known, uri, ...rest) {
        const outcome = await (fetcher.fetchUnless ?? (async () => "unchanged" as const))(known, uri, ...rest);
        if (outcome !== "unchanged") seen.fetched.push(uri);
        return outcome;
      },
    },
    async predict(bytes) {
      seen.predicted += 1;
      return predict === undefined ? succeeded(predictionOf(bytes)) : predict(bytes);
    },
  });
  await Promise.race([completed({ storage }), consumer.ended]);
  await consumer.drain(1_000);
  await fetcher.close();
  return { ...seen, head, storage };
}
