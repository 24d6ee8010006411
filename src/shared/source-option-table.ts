import { z } from "zod";
import { type InputFormat, inputFormats } from "./input-formats.js";
import { type CommandName, flagValue, integer, option, text, texts } from "./option-spec.js";

const producing: readonly CommandName[] = ["run", "enqueue"];

/** The part of the option table that says what a run's items are. All of it is of the identity. */
export const sourceOptionTable = {
  include: option<string[]>({
    flag: "--include <glob>",
    class: "identity",
    commands: producing,
    description: "take only files whose path below the directory matches (repeatable)",
    expected: "one or more glob patterns",
    schema: texts,
    default: [],
  }),
  exclude: option<string[]>({
    flag: "--exclude <glob>",
    class: "identity",
    commands: producing,
    description: "leave files whose path below the directory matches (repeatable)",
    expected: "one or more glob patterns",
    schema: texts,
    default: [],
  }),
  allFiles: option<boolean>({
    flag: "--all-files",
    class: "identity",
    commands: producing,
    description: "take every file of a directory, not only known image extensions",
    expected: "true or false",
    schema: flagValue,
    default: false,
  }),
  limit: option<number | null>({
    flag: "--limit <n>",
    class: "identity",
    commands: [...producing, "models verify"],
    description: "take only the first n items",
    expected: "an integer from 1 to 10000000000",
    schema: integer(1, 1e10).nullable(),
    default: null,
    defaultText: "all",
  }),
  uriColumn: option<string>({
    flag: "--uri-column <name>",
    class: "identity",
    commands: producing,
    description: "column of a table that holds the path or uri",
    expected: "the name of a column",
    schema: text,
    default: "uri",
  }),
  idColumn: option<string | null>({
    flag: "--id-column <name>",
    class: "identity",
    commands: producing,
    description: "column of a table that holds an item's id",
    expected: "the name of a column",
    schema: text.nullable(),
    default: null,
    defaultText: "none; the id is a hash of the uri",
  }),
  keepColumns: option<string[]>({
    flag: "--keep-columns <names>",
    class: "identity",
    commands: producing,
    description: "columns of a table that are kept in the rows' `extra`, with commas between them (repeatable)",
    expected: "names of columns, each once",
    schema: z.preprocess(
      (value) => [value].flat().flatMap((each) => (typeof each === "string" ? each.split(",") : [each])),
      z.array(text).refine((names) => new Set(names).size === names.length),
    ),
    default: [],
  }),
  inputFormat: option<InputFormat | null>({
    flag: "--input-format <format>",
    class: "identity",
    commands: producing,
    description: "form of stdin (`-`), and of files whose name does not tell",
    expected: inputFormats.join(", "),
    schema: z.enum(inputFormats).nullable(),
    default: null,
    defaultText: "txt for stdin",
  }),
} as const;
