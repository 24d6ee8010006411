/** Made files in a known state, and the same after a time in which some of them changed. */
import { mkdir, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";

const then = new Date("2026-01-02T03:04:05.678Z");

/** Writes a file whose time is known. */
export async function writeItem(path: string, text: string, time = then): Promise<void> {
  await writeFile(path, text);
  await utimes(path, time, time);
}

/** The name of item `i` of `writeItems`. */
export const itemName = (i: number): string => `${String(i).padStart(6, "0")}.jpg`;

/** Writes `count` files with different bytes into the new directory `dir`. */
export async function writeItems(dir: string, count: number): Promise<void> {
  await mkdir(dir);
  for (let i = 0; i < count; i += 1) await writeItem(join(dir, itemName(i)), `image ${i}`);
}

/** Gives the file another time, and leaves its bytes. */
export const touch = (path: string): Promise<void> => utimes(path, then, new Date(then.getTime() + 1_000));

/**
 * Of every hundred of the `count` files in `dir`: one is gone; one has other bytes and another time, one other bytes and another
 * length, one another time alone; and two are new.
 */
export async function changeItems(dir: string, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const path = join(dir, itemName(i));
    if (i % 100 === 0) await rm(path);
    if (i % 100 === 1) await writeItem(path, `IMAGE ${i}`, new Date(then.getTime() + 1));
    if (i % 100 === 2) await writeItem(path, `image no ${i}`);
    if (i % 100 === 3) await touch(path);
    if (i % 50 === 4) await writeItem(join(dir, `n${itemName(i)}`), `new ${i}`);
  }
}

/** Whether these are the bytes of one of a hundred items, none of which `changeItems` changes. */
export function isSeventh(bytes: Uint8Array): boolean {
  return /^image \d*07$|^image 7$/.test(Buffer.from(bytes).toString());
}
