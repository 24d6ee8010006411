import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join, resolve } from "node:path";
import { copyDistinct } from "../../test/support/copies.js";

/** A directory of many images, made of few. */
export interface Corpus {
  readonly dir: string;
  readonly images: number;
  remove(): Promise<void>;
}

const extensions = new Set([".jpg", ".jpeg", ".png"]);

/**
 * The images of `photos`, repeated under other names until there are `count`, no two with the same bytes: those would go
 * through the model once.
 */
export async function makeCorpus(photos: string, count: number): Promise<Corpus> {
  const names = (await readdir(photos)).filter((name) => extensions.has(extname(name).toLowerCase())).sort();
  if (names.length === 0) throw new Error(`Expected images in ${photos}, found none`);
  const dir = await mkdtemp(join(tmpdir(), "lm-corpus-"));
  for (let i = 0; i < count; i += 1) {
    const name = names[i % names.length] ?? "";
    await copyDistinct(resolve(photos, name), join(dir, `${String(i).padStart(6, "0")}${extname(name)}`), i);
  }
  return { dir, images: count, remove: () => rm(dir, { recursive: true, force: true }) };
}
