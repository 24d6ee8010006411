import { readFile } from "node:fs/promises";
import { LabelmillError, messageOf } from "../../shared/errors.js";
import type { OutputSizes } from "./output-sizes.js";

/** The labels in a text file, one a line. Throws OPTION_INVALID where there are not as many as the model has classes. */
export async function readLabels(path: string, { classes }: Pick<OutputSizes, "classes">): Promise<readonly string[]> {
  const refuse = (found: string, cause?: unknown) => {
    const expected = `a text file of ${classes} labels, one a line`;
    return new LabelmillError("OPTION_INVALID", { option: "labels", expected, value: path, from: found }, { cause });
  };
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw refuse(messageOf(error), error);
  });
  const labels = text
    .replace(/^\uFEFF/, "")
    .replace(/\r?\n$/, "")
    .split(/\r?\n/);
  const blank = labels.findIndex((label) => label.trim() === "");
  if (blank >= 0) throw refuse(`line ${blank + 1} is empty`);
  if (labels.length !== classes) throw refuse(`it has ${labels.length} lines`);
  return labels;
}
