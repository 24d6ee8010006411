/**
 * `npm run calibration:crops -- DIR`: the images that the package's int8 ranges were measured on, 64 crops of the example
 * photos: squares of 30 to 100 % of the shorter side, half of them mirrored, of other brightness and contrast. Then
 * `labelmill models quantize resnet50 --calibrate DIR` writes the ranges, and its file is `assets/resnet50-int8.json`.
 */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";

const photos = ["camera.png", "chelsea.png", "coffee.png", "rocket.jpg"];
const cropsEach = 16;
const size = 256;

const [dir] = process.argv.slice(2);
if (dir === undefined) {
  console.error("Usage: npm run calibration:crops -- DIR");
  process.exit(2);
}
await mkdir(dir, { recursive: true });
const random = parkMiller(1);
for (const photo of photos) {
  const file = await readFile(new URL(`../../examples/photos/${photo}`, import.meta.url));
  const whole = sharp(file).flatten({ background: "#ffffff" }).toColourspace("srgb");
  const { data, info } = await whole.raw().toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  for (let crop = 0; crop < cropsEach; crop += 1) {
    const side = Math.round(Math.min(width, height) * (crop === 0 ? 1 : 0.3 + 0.7 * random()));
    const [left, top] = [width - side, height - side].map((room) => Math.floor(random() * (room + 1)));
    const image = sharp(data, { raw: { width, height, channels } })
      .extract({ left: left ?? 0, top: top ?? 0, width: side, height: side })
      .resize(size, size, { kernel: "linear" })
      .flop(crop % 2 === 1);
    if (crop > 0) image.linear(0.6 + 0.8 * random(), 40 * (random() - 0.5));
    await image.png().toFile(join(dir, `${photo.replace(/\..*$/, "")}-${String(crop).padStart(2, "0")}.png`));
  }
}

/** Numbers from 0 to 1 (Park and Miller 1988). */
function parkMiller(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
