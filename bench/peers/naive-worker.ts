/**
 * What one writes first: a BullMQ queue with one job an image, and a Worker that decodes with sharp and runs ONNX Runtime with
 * a batch of one, all in one process.
 */
import { join } from "node:path";
import { Queue, QueueEvents, Worker } from "bullmq";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";
import { startTestRedis } from "../../test/support/redis.js";
import { type PeerPrediction, runPeer } from "./peer.js";

interface Configuration {
  /** Jobs at once. */
  readonly concurrency: number;
}

const cropSize = 224;
const pixels = cropSize * cropSize;
const mean = [0.485, 0.456, 0.406] as const;
const deviation = [0.229, 0.224, 0.225] as const;
const configurations: readonly Configuration[] = [{ concurrency: 1 }, { concurrency: 2 }, { concurrency: 4 }];

await runPeer(configurations, { sharp: sharp.versions.sharp ?? "" }, async ({ model }, { concurrency }) => {
  const server = await startTestRedis();
  const session = await InferenceSession.create(join(model, "transformers/onnx/model.onnx"));
  return {
    async predict(paths) {
      const connection = { url: server.url, maxRetriesPerRequest: null };
      const queue = new Queue("images", { connection });
      const events = new QueueEvents("images", { connection });
      const predictions: PeerPrediction[] = new Array(paths.length);
      const worker = new Worker<{ index: number; path: string }>(
        "images",
        async ({ data: { index, path } }) => {
          const feeds = { pixel_values: new Tensor("float32", await decode(path), [1, 3, cropSize, cropSize]) };
          const { logits, image_embeds } = await session.run(feeds);
          predictions[index] = {
            logits: Float32Array.from(logits?.data as Float32Array),
            embedding: Float32Array.from(image_embeds?.data as Float32Array),
          };
        },
        { connection, concurrency },
      );
      await events.waitUntilReady();
      const jobs = await queue.addBulk(paths.map((path, index) => ({ name: "image", data: { index, path } })));
      await Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
      await Promise.all([worker.close(), events.close(), queue.close()]);
      return predictions;
    },
    async close() {
      await session.release();
      await server.close();
    },
  };
});

async function decode(path: string): Promise<Float32Array> {
  const resized = sharp(path).resize(256, 256, { fit: "outside" }).removeAlpha().toColourspace("srgb");
  const { data, info } = await resized.raw().toBuffer({ resolveWithObject: true });
  const [left, top] = [(info.width - cropSize) >> 1, (info.height - cropSize) >> 1];
  const planes = new Float32Array(3 * pixels);
  for (let row = 0; row < cropSize; row += 1) {
    for (let column = 0; column < cropSize; column += 1) {
      const from = ((top + row) * info.width + left + column) * 3;
      for (let channel = 0; channel < 3; channel += 1) {
        const value = (data[from + channel] ?? 0) / 255;
        planes[channel * pixels + row * cropSize + column] = (value - (mean[channel] ?? 0)) / (deviation[channel] ?? 1);
      }
    }
  }
  return planes;
}
