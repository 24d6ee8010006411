import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { openDecoder } from "../../../src/worker/compute/decode.js";
import { createDecodeQueue } from "../../../src/worker/compute/decode-queue.js";
import { findModel } from "../../../src/worker/model/catalog.js";
import { projectRoot } from "../../support/shared-data.js";

const concurrency = 4;

/** Photos in five formats, each cut in three places: every one fails, each with words of its own loader. */
async function damagedImages(): Promise<Map<string, Buffer>> {
  const photo = await readFile(join(projectRoot, "examples/photos/rocket.jpg"));
  const image = sharp(photo).resize(320);
  const whole = { jpeg: photo, png: image.clone().png(), webp: image.clone().webp(), gif: image.clone().gif() };
  const damaged = new Map<string, Buffer>();
  for (const [name, source] of Object.entries({ ...whole, avif: image.clone().avif({ effort: 0 }) })) {
    const bytes = Buffer.isBuffer(source) ? source : await source.toBuffer();
    for (const share of [0.1, 0.5, 0.9]) damaged.set(`${name} ${share}`, bytes.subarray(0, bytes.length * share));
  }
  return damaged;
}

describe("worker/compute/failure-reason", () => {
  it("states the same reason for an image whatever fails beside it", async () => {
    const { preprocess } = findModel("resnet50");
    const images = [...(await damagedImages())];
    const reasons = new Map<string, Set<string>>();
    const rounds = 30;
    await new Promise<void>((resolve) => {
      let left = rounds * images.length;
      const queue = createDecodeQueue({
        decoder: openDecoder({ preprocess, maxPixels: 100_000_000 }),
        concurrency,
        itemTimeoutMs: 60_000,
        onDone: (id, outcome) => {
          const name = images[id % images.length]?.[0] ?? "";
          const told = outcome.ok ? "ok" : `${outcome.failure.code}: ${outcome.failure.message}`;
          reasons.set(name, (reasons.get(name) ?? new Set()).add(told));
          left -= 1;
          if (left === 0) resolve();
        },
        onOverdue: () => {},
      });
      for (let round = 0; round < rounds; round += 1) {
        // Another neighbour in every round.
        for (let i = 0; i < images.length; i += 1) {
          const id = (i * (round % 2 === 0 ? 1 : 7) + round) % images.length;
          queue.push(id, images[id]?.[1] ?? Buffer.alloc(0));
        }
      }
    });
    const changing = [...reasons].filter(([, told]) => told.size > 1);
    assert.deepEqual(
      changing.map(([name, told]) => [name, ...told]),
      [],
    );
    assert.equal(reasons.size, images.length);
    for (const [name, told] of reasons) assert.doesNotMatch([...told].join(), /Unknown error|^ok$/, name);
  });
});
