/**
 * Entry of a test's process, whose memory the test limits once it has said that it is ready: the engine thread, and batches.
 * It decodes nothing, since a decoder that is refused a thread's stack ends the process.
 */
import { once } from "node:events";
import { type EngineThreadSettings, startEngineThread } from "../../../src/worker/compute/engine-client.js";
import type { LoweredLimit } from "../../../src/worker/compute/fit-batches.js";
import { inputBytes } from "../../../src/worker/compute/protocol.js";

export interface LimitedAnswer {
  readonly lowered: readonly LoweredLimit[];
  /** Of the images of the second, whole batch: those with the answer that one image got alone, before. */
  readonly same: number;
  /** Halvings that the third batch, of half as many images, needed. */
  readonly loweredLater: number;
}

const settings = JSON.parse(process.argv[2] ?? "") as EngineThreadSettings & { readonly batchSize: number };
const n = settings.batchSize;
const thread = await startEngineThread(settings);
const batchOf = (images: number) => ({
  pixels: new Uint8Array(images * inputBytes).fill(77).buffer,
  topK: Array.from({ length: images }, () => 5),
});
const alone = (await thread.infer(batchOf(1))).top[0];
const [batch, later] = [batchOf(n), batchOf(n / 2)];
process.send?.("ready");
await once(process, "message");
const { top, lowered } = await thread.infer(batch);
const { lowered: loweredLater } = await thread.infer(later);
const same = top.filter((each) => each.ok && JSON.stringify(each) === JSON.stringify(alone)).length;
process.send?.({ lowered, same, loweredLater: loweredLater.length } satisfies LimitedAnswer);
process.disconnect();
process.exit();
