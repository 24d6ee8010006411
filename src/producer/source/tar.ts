/**
 * Tar shards as sources, as WebDataset writes them: members with image names are items, which carry where their bytes lie.
 * Listing reads headers, not data. A shard that is damaged gives its whole members and then one item that fails and names
 * the byte; the next shard is read as if nothing had been. Which shards there are is for `open-source` and `tar-glob`.
 */
import { isUtf8 } from "node:buffer";
import { failure, LabelmillError, messageOf } from "../../shared/errors.js";
import { encodeMemberName, uriOfTarMember } from "../../shared/tar-uri.js";
import type { Counts } from "../counts.js";
import { compileSelection } from "./directory.js";
import type { Selection, Source, SourceItem } from "./source.js";
import { type EntryPlace, isSameEntry, readTarEntries, type TarEntry, type TarInput } from "./tar-entries.js";

/** Where a shard is. */
export interface Shard {
  /** For messages, and for the item that says what is wrong with it: its path, or its address. */
  readonly name: string;
  /** Its uri, as in its members' uris. */
  readonly archive: string;
  /** `offset` is where reading begins. */
  open(offset: number): Promise<OpenShard>;
}

export interface OpenShard {
  readonly input: TarInput;
  close(): Promise<void>;
}

/** Reads any number of shards, and counts what it leaves out of all of them. */
export interface ShardReader {
  /** Items behind the one that `after` belongs to: see `tokenOf`. Throws RUN_SOURCE_CHANGED. */
  items(shard: Shard, after: string | null): AsyncGenerator<SourceItem>;
  leftOut(): Counts;
}

/** Behind the last thing that can be read. */
export const endToken = "end";
/** Of a name that is refused. */
const mostShownChars = 256;

/** What archives are packed in, so that no member can be read without all before it, and how to unpack them. */
const signatures: readonly (readonly [string, readonly number[]])[] = [
  ["gzip data, in which no member can be read by itself; unpack it (gunzip)", [0x1f, 0x8b]],
  ["Zstandard data, in which no member can be read by itself; unpack it (unzstd)", [0x28, 0xb5, 0x2f, 0xfd]],
  ["bzip2 data, in which no member can be read by itself; unpack it (bunzip2)", [0x42, 0x5a, 0x68]],
  ["xz data, in which no member can be read by itself; unpack it (unxz)", [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
];

/** One shard as a source. */
export function openTar(shard: Shard, selection: Selection, roots: readonly string[]): Source {
  const { items, leftOut } = createShardReader(selection);
  return { items: (after) => items(shard, after), leftOut, roots };
}

/** `include` and `exclude` apply to a member's name in its shard. */
export function createShardReader(selection: Selection): ShardReader {
  const reasonToLeave = compileSelection(selection);
  const leftOut: Record<string, number> = {};
  const leave = (reason: string) => {
    leftOut[reason] = (leftOut[reason] ?? 0) + 1;
    return null;
  };

  const itemOf = (entry: TarEntry, shard: Shard): SourceItem | null => {
    if (entry.kind === "damage") return damagedItem(shard, entry.byte, entry.problem, endToken);
    if (entry.kind === "other") return leave(entry.what);
    const name = entry.name.toString("utf8");
    const key = keyOf(entry.name);
    const reason = reasonToLeave(name) ?? (key === null ? "hidden file in a shard" : null);
    if (reason !== null || key === null) return leave(reason ?? "");
    const token = tokenOf(entry.place);
    if (entry.kind === "refused") {
      const problem = `${JSON.stringify(name.slice(0, mostShownChars))}: ${entry.problem}`;
      return { ...damagedItem(shard, entry.place.header, problem, token), id: key.slice(0, mostShownChars) };
    }
    const { offset, length } = entry;
    return {
      uri: uriOfTarMember({ archive: shard.archive, name: encodeMemberName(entry.name), offset, length }),
      id: key,
      token,
    };
  };

  return {
    async *items(shard, after) {
      if (after === endToken) return;
      const last = after === null ? null : placeOf(after);
      let open: OpenShard | null = null;
      try {
        open = await shard.open(last?.header ?? 0);
        if (last === null) refuseForeign(shard.name, await open.input.read(0, 8));
        else await requireSame(shard.name, open.input, last);
        for await (const entry of readTarEntries(open.input, last?.next ?? 0)) {
          const item = itemOf(entry, shard);
          if (item !== null) yield item;
        }
      } catch (error) {
        if (error instanceof LabelmillError) throw error;
        throw new LabelmillError(
          "RUN_SOURCE_UNREADABLE",
          { path: shard.name, reason: messageOf(error) },
          { cause: error },
        );
      } finally {
        await open?.close();
      }
    },
    leftOut: () => leftOut,
  };
}

/** The resume token of a member: "offset of its header:CRC-32 of that:offset of the next header". */
function tokenOf({ header, sum, next }: EntryPlace): string {
  return [header, sum, next].join(":");
}

function placeOf(token: string): EntryPlace {
  const [header = 0, sum = 0, next = 0] = token.split(":").map(Number);
  return { header, sum, next };
}

/** The rest of another shard would be pinned behind the start of this one, or its walk begin in the middle of a member. */
async function requireSame(name: string, input: TarInput, last: EntryPlace): Promise<void> {
  if (await isSameEntry(input, last)) return;
  const reason = `the member at byte ${last.header} of ${name} is not what it was`;
  throw new LabelmillError("RUN_SOURCE_CHANGED", { reason });
}

/** An archive's first bytes are those of a name, which may not look so by chance: none of these is text. */
function refuseForeign(source: string, start: Buffer): void {
  const found = signatures.find(([, bytes]) => bytes.every((byte, i) => start[i] === byte));
  if (found !== undefined)
    throw new LabelmillError("RUN_SOURCE_CONTENT", { source, expected: "a tar archive", found: found[0] });
}

function damagedItem({ name }: Shard, byte: number, problem: string, token: string): SourceItem {
  const failed = failure("ITEM_INVALID", { reason: `${name}, byte ${byte}: ${problem}` });
  return { uri: `${name}#byte=${byte}`, failure: failed, token };
}

/**
 * WebDataset's key: the name up to the first dot behind its last slash (webdataset, `base_plus_ext`). Null for a name that
 * begins with a dot there, which WebDataset leaves out too: macOS's tar adds such files.
 */
function keyOf(name: Buffer): string | null {
  const base = name.lastIndexOf("/") + 1;
  const dot = name.indexOf(".", base);
  if (dot === base) return null;
  const key = dot < 0 ? name : name.subarray(0, dot);
  return isUtf8(key) ? key.toString("utf8") : encodeMemberName(key);
}
