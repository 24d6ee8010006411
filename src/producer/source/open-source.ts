import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { LabelmillError, messageOf, systemCode } from "../../shared/errors.js";
import { openDirectory } from "./directory.js";
import { openList } from "./list.js";
import type { Selection, Source, SourceItem } from "./source.js";

/**
 * Opens what the user named, relative to `cwd`, in the given order, as one source. `names` are absolute.
 * Throws RUN_SOURCE_MISSING, RUN_SOURCE_KIND or RUN_SOURCE_UNREADABLE.
 */
export async function openSources(
  args: readonly string[],
  cwd: string,
  selection: Selection,
): Promise<{ source: Source; names: string[] }> {
  const names = args.map((arg) => resolve(cwd, arg));
  const sources: Source[] = [];
  for (const name of names) sources.push(await openSource(name, selection));
  return { source: concatSources(sources), names };
}

async function openSource(path: string, selection: Selection): Promise<Source> {
  const found = await stat(path).catch((error: unknown) => {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? ""))
      throw new LabelmillError("RUN_SOURCE_MISSING", { source: path });
    throw new LabelmillError("RUN_SOURCE_UNREADABLE", { path, reason: messageOf(error) }, { cause: error });
  });
  if (found.isDirectory()) return openDirectory(path, selection);
  if (found.isFile() && path.toLowerCase().endsWith(".txt")) return openList(path);
  throw new LabelmillError("RUN_SOURCE_KIND", {
    source: path,
    found: found.isFile() ? "another file" : "a special file",
  });
}

/** One source after the other. The resume token is the source's number and its own token. */
function concatSources(sources: readonly Source[]): Source {
  return {
    async *items(after): AsyncGenerator<SourceItem> {
      const [, number = "0", token = null] = after === null ? [] : (/^(\d+):(.*)$/s.exec(after) ?? []);
      const first = Number(number);
      for (const [i, source] of sources.entries()) {
        if (i < first) continue;
        for await (const item of source.items(i === first ? token : null))
          yield { ...item, token: `${i}:${item.token}` };
      }
    },
    leftOut: () => sumCounts(sources.map((source) => source.leftOut())),
    roots: [...new Set(sources.flatMap((source) => source.roots))],
  };
}

function sumCounts(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const [reason, n] of counts.flatMap(Object.entries<number>)) sum[reason] = (sum[reason] ?? 0) + n;
  return sum;
}
