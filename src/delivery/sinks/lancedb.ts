/**
 * Parts into LanceDB: a table a run, and an upsert a part by `item_index`. An upsert is one commit, so a part is there whole or
 * not at all, and the table itself is the record: a chunk is there if its first item is. `item_index` is declared as the table's
 * unenforced primary key, which makes upserts of one part by two processes conflict and repeat; without it three processes left
 * 1,344 to 2,304 rows of 1,280 (0.31.0). The package is optional and native; it runs on threads of its own. Opened by
 * `open-sink` only.
 */
import type { Connection, Table } from "@lancedb/lancedb";
import type { DataType, Field } from "apache-arrow";
import { type ColumnType, type Row, rowColumns } from "../../dataset/row.js";
import type { RunHead } from "../../dataset/run-head.js";
import { LabelmillError, messageOf } from "../../shared/errors.js";
import type { SinkTarget } from "../sink-target.js";
import type { DeliveryOutcome, PartToDeliver, Sink } from "./sink.js";

type Lance = typeof import("@lancedb/lancedb");
type Arrow = typeof import("apache-arrow");

const packageName = "@lancedb/lancedb";
const key = "item_index";
/** Of Lance's table format, as a field's metadata. */
const primaryKey = new Map([["lance-schema:unenforced-primary-key", "true"]]);
const epochKey = "labelmill.epoch";

/** The package. Throws SINK_MISSING. */
export async function loadLancedb(sink: string): Promise<Lance> {
  try {
    return await import("@lancedb/lancedb");
  } catch (error) {
    throw new LabelmillError(
      "SINK_MISSING",
      { sink, package: packageName, reason: messageOf(error) },
      { cause: error },
    );
  }
}

/** Opens the database in the directory of the url, which is made. Throws SINK_*. */
export async function openLancedbSink(target: SinkTarget, head: RunHead): Promise<Sink> {
  const lance = await loadLancedb(target.name);
  const arrow: Arrow = await import("apache-arrow");
  const failing = <T>(action: () => Promise<T>): Promise<T> =>
    action().catch((error) => Promise.reject(failure(target, error)));
  const database = await failing(() => lance.connect(target.database));
  const name = `${target.parameters.table ?? "labelmill"}_${head.runId.replace("-", "_")}`;
  try {
    const table = await failing(() => openTable({ database, arrow, name, head, target }));
    return {
      deliveredChunks: () => failing(() => deliveredChunks(table, head)),
      deliver: (part) => failing(() => deliver(table, part)),
      index: () => failing(() => createIndexes(table, lance)),
      async close() {
        table.close();
        database.close();
      },
    };
  } catch (error) {
    database.close();
    throw error;
  }
}

interface TablePlace {
  readonly database: Connection;
  readonly arrow: Arrow;
  readonly name: string;
  readonly head: RunHead;
  readonly target: SinkTarget;
}

/** Makes the table without `embedding`, whose width only a row that has one tells, or opens the one that is there. */
async function openTable({ database, arrow, name, head, target }: TablePlace): Promise<Table> {
  const names = (Object.keys(rowColumns) as (keyof Row)[]).filter((column) => column !== "embedding");
  const fields = names.map((column) => fieldOf(arrow, column));
  const schema = new arrow.Schema(fields, new Map([[epochKey, head.epoch]]));
  const isThere = async () =>
    (await database.tableNames({ startAfter: name.slice(0, -1), limit: 1_000 })).includes(name);
  // Of several processes that create it at once one does, and the others are told that it exists.
  if (!(await isThere()))
    await database.createEmptyTable(name, schema, { mode: "create" }).catch(async (error: unknown) => {
      if (!(await isThere())) throw error;
    });
  const table = await database.openTable(name);
  const found = await table.schema();
  const missing = names.find((column) => found.fields.every((field) => field.name !== column));
  const isOurs = (found.metadata.get(epochKey) ?? head.epoch) === head.epoch;
  const reason = isOurs ? `the table ${name} has no column ${missing}` : `the table ${name} is of another dataset`;
  if (missing !== undefined || !isOurs) {
    table.close();
    throw new LabelmillError("SINK_REFUSED", { sink: target.name, reason });
  }
  return table;
}

async function deliveredChunks(table: Table, { identity }: RunHead): Promise<ReadonlySet<number>> {
  await table.checkoutLatest();
  const firsts = await table.query().where(`${key} % ${identity.chunkSize} = 0`).select([key]).toArray();
  return new Set(firsts.map((row) => Number(row[key]) / identity.chunkSize));
}

async function deliver(table: Table, part: PartToDeliver): Promise<DeliveryOutcome> {
  const rows = await part.rows();
  const width = rows.find(({ embedding }) => embedding !== null)?.embedding?.length ?? null;
  await table.checkoutLatest();
  let hasEmbedding = await hasColumn(table, "embedding");
  if (width !== null && !hasEmbedding) {
    await table.addColumns([{ name: "embedding", valueSql: `arrow_cast(NULL, 'FixedSizeList(${width}, Float32)')` }]);
    hasEmbedding = true;
  }
  const upsert = table.mergeInsert(key).whenMatchedUpdateAll().whenNotMatchedInsertAll();
  await upsert.execute(rows.map((row) => toRecord(row, hasEmbedding)));
  return "delivered";
}

/** Gathers the small pieces that parts come as, then indexes embeddings by their cosine. */
async function createIndexes(table: Table, lance: Lance): Promise<readonly string[]> {
  await table.checkoutLatest();
  await table.optimize();
  const isThere = (await table.listIndices()).some(({ columns }) => columns.includes("embedding"));
  if (isThere || !(await hasColumn(table, "embedding"))) return [];
  await table.createIndex("embedding", { config: lance.Index.hnswSq({ distanceType: "cosine" }) });
  return ["embedding_idx"];
}

async function hasColumn(table: Table, name: string): Promise<boolean> {
  return (await table.schema()).fields.some((field) => field.name === name);
}

function fieldOf(arrow: Arrow, name: Exclude<keyof Row, "embedding">): Field {
  const { type, nullable } = rowColumns[name];
  return new arrow.Field(name, arrowType(arrow, type), nullable, name === key ? primaryKey : undefined);
}

function arrowType(arrow: Arrow, type: ColumnType): DataType {
  const listOf = (item: DataType) => new arrow.List(new arrow.Field("item", item, true));
  switch (type) {
    case "utf8":
      return new arrow.Utf8();
    case "int32":
      return new arrow.Int32();
    case "int64":
      return new arrow.Int64();
    case "float64":
      return new arrow.Float64();
    case "timestamp[ms, UTC]":
      return new arrow.TimestampMillisecond("UTC");
    case "list<utf8>":
      return listOf(new arrow.Utf8());
    case "list<int32>":
      return listOf(new arrow.Int32());
    case "list<float64>":
      return listOf(new arrow.Float64());
    case "fixed_size_list<float32>":
      return listOf(new arrow.Float32());
    // As JSON: LanceDB filters no maps.
    case "map<utf8, utf8>":
      return new arrow.Utf8();
  }
}

function toRecord(row: Row, hasEmbedding: boolean): Record<string, unknown> {
  const columns = Object.entries(row).filter(([name]) => hasEmbedding || name !== "embedding");
  return Object.fromEntries(columns.map(([name, value]) => [name, toLance(name as keyof Row, value)]));
}

function toLance(name: keyof Row, value: unknown): unknown {
  if (value === null) return null;
  const { type } = rowColumns[name];
  if (type === "int64") return BigInt(value as number);
  if (type === "map<utf8, utf8>") return JSON.stringify(value);
  return type === "fixed_size_list<float32>" ? Array.from(value as Float32Array) : value;
}

function failure(target: SinkTarget, error: unknown): LabelmillError {
  if (error instanceof LabelmillError) return error;
  const reason = messageOf(error).slice(0, 500);
  return new LabelmillError("SINK_UNREACHABLE", { sink: target.name, reason }, { cause: error });
}
