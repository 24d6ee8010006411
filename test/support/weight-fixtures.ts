import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

/** Compiled, this file is dist/test/support/weight-fixtures.js. What bench/parity/make_fixtures.py wrote. */
const folder = new URL("../../../test/fixtures/weights/", import.meta.url);

export function fixturePath(name: string): string {
  return fileURLToPath(new URL(name, folder));
}

export function fixtureBytes(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(name, folder)));
}

/** What bench/parity/make_keras_fixtures.py wrote. */
export function gunzippedFixture(name: string): Uint8Array {
  return new Uint8Array(gunzipSync(fixtureBytes(name)));
}

/** Logits that PyTorch, or Keras, gives for `fixtureImage`. */
export interface FixtureLogits {
  readonly torchvision: readonly number[];
  readonly huggingFace: readonly number[];
  readonly half: readonly number[];
  readonly bfloat16: readonly number[];
  readonly basic: readonly number[];
  readonly huggingFaceBasic: readonly number[];
  readonly kerasApplications: readonly number[];
  readonly kerasWholeModel: readonly number[];
}

export function fixtureLogits(): FixtureLogits {
  return JSON.parse(readFileSync(new URL("logits.json", folder), "utf8"));
}

/** `[224, 224, 3]` uint8, by the formula of make_fixtures.py. */
export function fixtureImage(): Uint8Array {
  const pixels = new Uint8Array(224 * 224 * 3);
  for (let y = 0; y < 224; y += 1) {
    for (let x = 0; x < 224; x += 1) {
      for (let c = 0; c < 3; c += 1)
        pixels[(y * 224 + x) * 3 + c] = (x * 7 + y * 13 + c * 29 + Math.floor((x * y) / 50)) % 256;
    }
  }
  return pixels;
}
