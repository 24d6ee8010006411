/** How a run makes use of an earlier one: a part of the table in `option-table.ts`, which alone reads it. */
import { z } from "zod";
import { itemClassWords, parseOnly } from "./item-classes.js";
import { flagValue, option, text } from "./option-spec.js";

export const reprocessOptions = {
  against: option<string | null>({
    flag: "--against <out>",
    class: "identity",
    commands: ["run", "enqueue", "plan"],
    description: "complete dataset of an earlier run: rows of items that --only does not name are carried over from it",
    expected: "the directory of a dataset",
    schema: text.nullable(),
    default: null,
    defaultText: "none; every row is made",
  }),
  only: option<readonly string[] | null>({
    flag: "--only <classes>",
    class: "identity",
    commands: ["run", "enqueue", "plan"],
    description: "with --against: which items are done again, with commas between them; failed:CODE means those alone",
    expected: `some of ${itemClassWords.join(", ")}, failed:CODE`,
    schema: z
      .union([z.string().transform((value) => value.split(",")), z.array(z.string())])
      .transform((words, context) => {
        const only = parseOnly(words);
        if (only === null) context.addIssue({ code: "custom", message: "no such class" });
        return only ?? [];
      })
      .nullable(),
    default: null,
    defaultText: "all of them",
  }),
  verifyBytes: option<boolean>({
    flag: "--verify-bytes",
    class: "policy",
    commands: ["run", "enqueue", "plan"],
    description: "with --against: compare local files by the sha256 of their bytes, not by size and time alone",
    expected: "true or false",
    schema: flagValue,
    default: false,
  }),
} as const;
