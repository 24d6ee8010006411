/** What a file is by the endings of its name: `list.txt`, `table.csv.gz`, `table.parquet`, `shard-0001.tar`. */
import type { InputFormat } from "../../shared/input-formats.js";
import type { Packing } from "./text.js";

export type FileKind =
  | { readonly kind: "text"; readonly format: InputFormat; readonly packing: Packing }
  | { readonly kind: "parquet" }
  | { readonly kind: "tar" }
  | { readonly kind: "packed tar" };

const packings: Readonly<Record<string, Packing>> = { ".gz": "gzip", ".zst": "zstd" };
const formats: Readonly<Record<string, InputFormat>> = {
  ".txt": "txt",
  ".csv": "csv",
  ".tsv": "tsv",
  ".jsonl": "jsonl",
  ".ndjson": "jsonl",
};

/** Upper and lower case are one. `otherwise` is the format of a name that says nothing; null where it then is none. */
export function fileKindOf(path: string, otherwise: InputFormat | null): FileKind | null {
  const lower = path.toLowerCase();
  if (/\.(tar\.(gz|zst|bz2|xz)|t[gbx]z|tzst)$/.test(lower)) return { kind: "packed tar" };
  const [, name = "", packed = ""] = /^(.*?)(\.gz|\.zst)?$/s.exec(lower) ?? [];
  const ending = /\.[a-z]+$/.exec(name)?.[0] ?? "";
  if (ending === ".parquet" && packed === "") return { kind: "parquet" };
  if (ending === ".tar") return { kind: "tar" };
  const format = formats[ending] ?? otherwise;
  return format === null ? null : { kind: "text", format, packing: packings[packed] ?? "none" };
}
