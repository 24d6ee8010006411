import assert from "node:assert/strict";
import sharp, { type Sharp } from "sharp";
import { type Decoder, openDecoder } from "../../../src/worker/compute/decode.js";
import type { DecodedImage } from "../../../src/worker/compute/protocol.js";
import { type PlainTiff, writeTiff } from "./tiff.js";

const side = 224;
const preprocess = { shortestSide: 256, cropSize: side, kernel: "linear" } as const;
const decoder: Decoder = openDecoder({ preprocess, maxPixels: 100_000_000 });

async function decode(bytes: Uint8Array): Promise<DecodedImage> {
  const outcome = await decoder.decode(bytes);
  assert.ok(outcome.ok, outcome.ok ? "" : outcome.failure.message);
  assert.equal(outcome.value.pixels.length, side * side * 3);
  return outcome.value;
}

async function assertRefused(bytes: Uint8Array, code: string, wording = /./): Promise<void> {
  const outcome = await decoder.decode(bytes);
  assert.ok(!outcome.ok);
  assert.equal(outcome.failure.code, code, outcome.failure.message);
  assert.match(outcome.failure.message, wording);
  assert.ok(!outcome.failure.message.includes("\n"));
}

/** An image of different colours everywhere, smooth enough that resampling hardly matters. */
function gradient(width: number, height: number): Sharp {
  const pixels = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      pixels.set([(x * 255) / width, (y * 255) / height, ((x + y) * 255) / (width + height)], (y * width + x) * 3);
    }
  }
  return sharp(pixels, { raw: { width, height, channels: 3 } });
}

function maxDifference(a: Uint8Array, b: Uint8Array): number {
  return a.reduce((max, value, index) => Math.max(max, Math.abs(value - (b[index] ?? 0))), 0);
}

/** Asserts that all pixels are about `rgb`. */
function assertColour(image: DecodedImage, rgb: readonly number[], tolerance = 3): void {
  const middle = [...image.pixels.subarray((112 * side + 112) * 3, (112 * side + 113) * 3)];
  for (const [channel, value] of rgb.entries()) {
    assert.ok(
      Math.abs((middle[channel] ?? -1) - value) <= tolerance,
      `expected about ${rgb.join()}, got ${middle.join()}`,
    );
  }
}

describe("worker/compute/decode", () => {
  it("gives the middle of an image of the right size unchanged", async () => {
    const source = gradient(256, 256);
    const expected = await source.clone().extract({ left: 16, top: 16, width: side, height: side }).raw().toBuffer();
    const decoded = await decode(await source.png().toBuffer());
    assert.deepEqual(Buffer.from(decoded.pixels), expected);
    assert.deepEqual([decoded.width, decoded.height, decoded.format], [256, 256, "png"]);
  });

  it("names the format by the bytes", async () => {
    const source = gradient(40, 30);
    for (const format of ["jpeg", "png", "webp", "gif", "tiff", "avif"] as const) {
      const decoded = await decode(await source.clone().toFormat(format).toBuffer());
      assert.deepEqual([decoded.format, decoded.width, decoded.height], [format, 40, 30]);
    }
  });

  it("gives three 8-bit sRGB channels for every pixel form", async () => {
    const forms: [name: string, tiff: Omit<PlainTiff, "width" | "height">, rgb: number[]][] = [
      ["grey", { samples: [60], bits: 8, photometric: 1 }, [60, 60, 60]],
      ["grey, 16 bit", { samples: [60 * 257], bits: 16, photometric: 1 }, [60, 60, 60]],
      ["grey with alpha", { samples: [60, 255], bits: 8, photometric: 1, extraSamples: [2] }, [60, 60, 60]],
      ["RGB, 16 bit", { samples: [51_400, 25_700, 0], bits: 16, photometric: 2 }, [200, 100, 0]],
      // scRGB: linear light, 1.0 is white.
      ["RGB, float", { samples: [1, 0.214, 0], bits: 32, photometric: 2 }, [255, 127, 0]],
      ["CMYK without profile", { samples: [0, 0, 0, 0], bits: 8, photometric: 5 }, [255, 255, 255]],
      ["CIE L*a*b*, 16 bit", { samples: [65_280, 0, 0], bits: 16, photometric: 8 }, [255, 255, 255]],
      ["RGB with alpha", { samples: [200, 100, 0, 255], bits: 8, photometric: 2, extraSamples: [2] }, [200, 100, 0]],
      [
        "RGB with alpha and a spare channel",
        { samples: [200, 100, 0, 255, 0], bits: 8, photometric: 2, extraSamples: [2, 0] },
        [200, 100, 0],
      ],
      [
        "grey with three spare channels",
        { samples: [60, 9, 9, 9], bits: 8, photometric: 1, extraSamples: [0, 0, 0] },
        [60, 60, 60],
      ],
      ["CMYK with alpha", { samples: [0, 0, 0, 0, 255], bits: 8, photometric: 5, extraSamples: [2] }, [255, 255, 255]],
      [
        "RGB with two spare channels",
        { samples: [200, 100, 0, 0, 0], bits: 8, photometric: 2, extraSamples: [0, 0] },
        [200, 100, 0],
      ],
    ];
    for (const [name, form, rgb] of forms) {
      await assert.doesNotReject(
        async () => assertColour(await decode(writeTiff({ width: 20, height: 20, ...form })), rgb),
        name,
      );
    }
    const palette = await gradient(64, 64).png({ palette: true, colours: 16 }).toBuffer();
    await decode(palette);
  });

  it("puts transparency on white", async () => {
    const clear = {
      create: { width: 30, height: 30, channels: 4, background: { r: 255, g: 0, b: 0, alpha: 0 } },
    } as const;
    assertColour(await decode(await sharp(clear).png().toBuffer()), [255, 255, 255]);
    const half = { create: { ...clear.create, background: { r: 255, g: 0, b: 0, alpha: 0.5 } } };
    assertColour(await decode(await sharp(half).webp({ lossless: true }).toBuffer()), [255, 127, 127]);
  });

  it("takes the first frame of an animation", async () => {
    const frames = Buffer.concat([Buffer.alloc(10 * 10 * 3, 10), Buffer.alloc(10 * 10 * 3, 250)]);
    const animation = sharp(frames, { raw: { width: 10, height: 20, channels: 3, pageHeight: 10 } });
    for (const bytes of [
      await animation.clone().gif().toBuffer(),
      await animation.clone().webp({ lossless: true }).toBuffer(),
    ]) {
      const decoded = await decode(bytes);
      assert.deepEqual([decoded.width, decoded.height], [10, 10]);
      assertColour(decoded, [10, 10, 10]);
    }
  });

  it("gives the same pixels for all EXIF orientations, and for invalid ones", async () => {
    const upright = await decode(await gradient(300, 200).png().toBuffer());
    // How an upright image is stored so that the orientation of that number makes it upright again.
    const stores: ((image: Sharp) => Sharp)[] = [
      (image) => image,
      (image) => image.flop(),
      (image) => image.rotate(180),
      (image) => image.flip(),
      (image) => image.flip().rotate(90),
      (image) => image.rotate(270),
      (image) => image.flip().rotate(270),
      (image) => image.rotate(90),
    ];
    for (const [index, store] of stores.entries()) {
      const stored = await store(gradient(300, 200))
        .png()
        .withMetadata({ orientation: index + 1 })
        .toBuffer();
      const decoded = await decode(stored);
      assert.deepEqual([decoded.width, decoded.height], [300, 200], `orientation ${index + 1}`);
      assert.ok(maxDifference(decoded.pixels, upright.pixels) <= 2, `orientation ${index + 1}`);
    }
  });

  it("gives the same crop from a band of a long image as from all of it", async () => {
    const long = gradient(40 * 30, 30);
    const whole = await long.clone().resize(10_240, 256, { fit: "fill", kernel: "linear" }).raw().toBuffer();
    const crop = sharp(whole, { raw: { width: 10_240, height: 256, channels: 3 } });
    const expected = await crop.extract({ left: 5008, top: 16, width: side, height: side }).raw().toBuffer();
    const decoded = await decode(await long.png().toBuffer());
    assert.deepEqual([decoded.width, decoded.height], [1200, 30]);
    assert.ok(maxDifference(decoded.pixels, expected) <= 2);
  });

  it("decodes the longest images that JPEG knows, both ways round", async () => {
    for (const [width, height] of [
      [65_500, 1],
      [1, 65_500],
    ] as const) {
      const decoded = await decode(await gradient(width, height).jpeg().toBuffer());
      assert.deepEqual([decoded.width, decoded.height], [width, height]);
    }
  });

  it("finds out a cut file wherever it was cut, even below the part that the model sees", async () => {
    const noise = sharp({
      create: {
        width: 200,
        height: 300,
        channels: 3,
        background: "#808080",
        noise: { type: "gaussian", mean: 128, sigma: 40 },
      },
    });
    for (const format of ["jpeg", "png", "webp", "gif", "tiff", "avif"] as const) {
      const bytes = await noise.clone().toFormat(format).toBuffer();
      for (const part of [0.3, 0.6, 0.97]) {
        await assertRefused(bytes.subarray(0, bytes.length * part), "DECODE_TRUNCATED");
      }
    }
  });

  it("tells damage from truncation", async () => {
    const png = await gradient(64, 64).png().toBuffer();
    png.writeUInt8(png.readUInt8(png.length - 20) ^ 0xff, png.length - 20);
    await assertRefused(png, "DECODE_CORRUPT");
  });

  it("refuses more pixels than allowed, naming the size", async () => {
    const small = openDecoder({ preprocess, maxPixels: 1199 });
    const outcome = await small.decode(await gradient(40, 30).png().toBuffer());
    assert.ok(!outcome.ok);
    assert.equal(outcome.failure.code, "LIMIT_PIXELS");
    assert.match(outcome.failure.message, /1199 pixels.*40x30/);
  });

  it("says what an undecodable file looks like", async () => {
    await assertRefused(Buffer.alloc(0), "DECODE_TRUNCATED", /no bytes/);
    const lab = writeTiff({ width: 9, height: 9, samples: [200, 0, 0], bits: 8, photometric: 8 });
    await assertRefused(lab, "DECODE_UNSUPPORTED", /labq/);
    await assertRefused(Buffer.from("<!DOCTYPE html><title>404"), "DECODE_UNSUPPORTED", /HTML/);
    await assertRefused(
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
      "DECODE_UNSUPPORTED",
      /SVG/,
    );
    await assertRefused(Buffer.from("BM\x46\0\0\0\0\0"), "DECODE_UNSUPPORTED", /424d46/);
    await assertRefused(Buffer.from("/etc/passwd"), "DECODE_UNSUPPORTED");
    const heic = Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from("ftypheic\0\0\0\0mif1heic")]);
    await assertRefused(heic, "DECODE_UNSUPPORTED", /HEIC/);
  });
});
