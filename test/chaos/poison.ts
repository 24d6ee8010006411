/** Rounds with images that the compute child does not survive. No such photo is known, so the child is made to die. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Happening } from "./plan.js";
import { itemPath, type Place, startHooked } from "./processes.js";
import type { Random } from "./random.js";

/** The whole content of a file that ends the child by SIGABRT when it is decoded. */
export const crashingBytes = Buffer.from("decode me and crash");
/** The whole content of a file whose decode never ends. */
export const hangingBytes = Buffer.from("decode me for ever");

const poisonChild = fileURLToPath(new URL("./poison-child.js", import.meta.url));
const itemTimeoutMs = 2_000;

/** Does a run with `crashing` and `hanging` such files among its items. */
export async function runWithPoison(
  place: Place,
  random: Random,
  { crashing, hanging }: { crashing: number; hanging: number },
): Promise<Happening> {
  const failed = new Map<string, string>();
  const add = async (bytes: Buffer, code: string): Promise<void> => {
    let path: string;
    do path = itemPath(place.source, random.integer(0, place.items - 1));
    while (failed.has(path));
    failed.set(path, code);
    await writeFile(path, bytes);
  };
  for (let i = 0; i < crashing; i += 1) await add(crashingBytes, "WORKER_CRASH");
  for (let i = 0; i < hanging; i += 1) await add(hangingBytes, "LIMIT_TIME");
  const args = [
    "run",
    place.source,
    "--out",
    place.out,
    "--chunk-size",
    "64",
    "--item-timeout-ms",
    String(itemTimeoutMs),
  ];
  const { code, stderr } = await startHooked(place, args, [], poisonChild).result;
  assert.equal(code, 3, stderr);
  return { told: `${crashing} crashing and ${hanging} hanging of ${place.items} images`, failed };
}
