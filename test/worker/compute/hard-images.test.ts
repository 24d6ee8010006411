import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Decoder, openDecoder } from "../../../src/worker/compute/decode.js";

/** Three hundred odd, broken and hostile files that may lie beside the repository; see docs/formats.md. */
const folder = resolve("..", "shared", "hard-images");
const isPresent = existsSync(join(folder, "manifest.tsv"));

interface HardImage {
  readonly file: string;
  readonly expected: string;
  readonly kind: string;
}

function readManifest(): HardImage[] {
  const [, ...lines] = readFileSync(join(folder, "manifest.tsv"), "utf8").trim().split("\n");
  return lines.map((line) => {
    const [file = "", expected = "", kind = ""] = line.split("\t");
    return { file, expected, kind };
  });
}

describe("worker/compute/hard-images", function () {
  this.timeout(120_000);
  let decoder: Decoder;

  before(function () {
    if (!isPresent) return this.skip();
    const preprocess = { shortestSide: 256, cropSize: 224, kernel: "linear" } as const;
    decoder = openDecoder({ preprocess, maxPixels: 100_000_000 });
  });

  it("decodes every image that should decode, and gives a code for every one that should not", async () => {
    const wrong: string[] = [];
    let decoded = 0;
    for (const { file, expected } of readManifest()) {
      const outcome = await decoder.decode(readFileSync(join(folder, file)));
      if (outcome.ok) {
        decoded += 1;
        assert.equal(outcome.value.pixels.length, 224 * 224 * 3, file);
        if (expected === "no") wrong.push(`${file} decodes`);
      } else {
        assert.match(outcome.failure.code, /^(DECODE_|LIMIT_PIXELS)/, file);
        assert.ok(!outcome.failure.message.includes("\n"), file);
        if (expected === "yes") wrong.push(`${file}: ${outcome.failure.message}`);
      }
    }
    assert.deepEqual(wrong, []);
    assert.ok(decoded > 100);
  });

  it("gives nearly the same pixels for one photo in all its EXIF orientations", async () => {
    for (const [name, width, height] of [
      ["Landscape", 1800, 1200],
      ["Portrait", 1200, 1800],
    ] as const) {
      const images: Uint8Array[] = [];
      for (const orientation of [0, 1, 2, 3, 4, 5, 6, 7, 8]) {
        const outcome = await decoder.decode(readFileSync(join(folder, "recurser", `${name}_${orientation}.jpg`)));
        assert.ok(outcome.ok);
        assert.deepEqual([outcome.value.width, outcome.value.height], [width, height]);
        images.push(outcome.value.pixels);
      }
      for (const [orientation, pixels] of images.entries()) {
        const difference = pixels.reduce((sum, value, index) => sum + Math.abs(value - (images[1]?.[index] ?? 0)), 0);
        // The nine files are separate JPEG encodings, and their pixels differ by themselves.
        assert.ok(difference / pixels.length < 2, `${name}_${orientation} differs by ${difference / pixels.length}`);
      }
    }
  });
});
