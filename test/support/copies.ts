import { appendFile, copyFile } from "node:fs/promises";

/** Copies an image such that no two copies have the same bytes: their numbers stand behind its end, where no decoder looks. */
export async function copyDistinct(from: string, to: string, number: number): Promise<void> {
  await copyFile(from, to);
  await appendFile(to, `copy ${number}`);
}
