import { LabelmillError, messageOf } from "../../shared/errors.js";
import type { OutputSizes } from "./output-sizes.js";
import { readWholeFile } from "./read-file.js";

/** A hundred thousand classes need a tenth of it. */
const maxBytes = 2 ** 24;

/** The labels in a text file, one a line. Throws OPTION_INVALID where there are not as many as the model has classes. */
export async function readLabels(path: string, { classes }: Pick<OutputSizes, "classes">): Promise<readonly string[]> {
  const refuse = (found: string, cause?: unknown) => {
    const expected = `a text file of ${classes} labels, one a line`;
    return new LabelmillError("OPTION_INVALID", { option: "labels", expected, value: path, from: found }, { cause });
  };
  const bytes = await readWholeFile(path, maxBytes).catch((error: unknown) => {
    throw refuse(messageOf(error), error);
  });
  // Leaves out a byte order mark.
  const labels = new TextDecoder()
    .decode(bytes)
    .replace(/\r?\n$/, "")
    .split(/\r?\n/);
  const blank = labels.findIndex((label) => label.trim() === "");
  if (blank >= 0) throw refuse(`line ${blank + 1} is empty`);
  if (labels.length !== classes) throw refuse(`it has ${labels.length} lines`);
  return labels;
}
