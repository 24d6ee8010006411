/**
 * The tables that the Postgres sink makes and finds: in one schema, `runs` with what is constant in a run, `rows`, and
 * `parts`, the record of what was delivered. Embeddings are pgvector's `vector` where the server has it, else `real[]`; a
 * table that exists stays as it is. Called by `postgres` only.
 */
import { type ColumnType, type Row, rowColumns } from "../../dataset/row.js";
import type { RunHead } from "../../dataset/run-head.js";
import { type PgRowType, pgTypeNames } from "./pg-binary.js";

/** What this needs of a connection. */
export interface PgQueries {
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
}

/** Columns that are the same in all rows of a run, and stand in `runs`. */
const constantColumns: readonly (keyof Row)[] = ["model", "model_sha256", "preprocess_sha256", "precision"];
/** Columns of `rows`. */
export const sqlColumns = (Object.keys(rowColumns) as (keyof Row)[]).filter((name) => !constantColumns.includes(name));

/** Why the tables cannot be used; becomes SINK_REFUSED. */
export class UnfitTables extends Error {}

/**
 * Makes what is missing of the schema, and returns how `rows` is built. Nothing is asked for that is there, so a role
 * without the right to create may deliver into tables that another has made. Throws UnfitTables.
 */
export async function prepareTables(client: PgQueries, schema: string): Promise<PgRowType> {
  await requireServer(client);
  const found = await findRowType(client, schema);
  if (found !== null) return requireColumns(schema, found);
  await createTables(client, schema);
  const made = await findRowType(client, schema);
  if (made === null) throw new UnfitTables(`there is no table ${schema}.rows after it was created`);
  return requireColumns(schema, made);
}

/** Says which run the rows are of. Throws UnfitTables where the tables hold another run of that name. */
export async function enterRun(client: PgQueries, schema: string, head: RunHead): Promise<void> {
  const { runId, epoch, createdAt, identity } = head;
  const { model, modelSha256, preprocessSha256, precision } = identity;
  await client.query(
    `INSERT INTO "${schema}".runs (run_id, epoch, created_at, model, model_sha256, preprocess_sha256, precision)
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (run_id) DO NOTHING`,
    [runId, epoch, createdAt, model, modelSha256, preprocessSha256, precision],
  );
  const { rows } = await client.query(`SELECT epoch FROM "${schema}".runs WHERE run_id = $1`, [runId]);
  if (rows[0]?.epoch !== epoch) throw new UnfitTables(`it has rows of another dataset whose run is called ${runId}`);
}

/**
 * Makes the indexes of one run: by label, and by the cosine of embeddings. hnsw takes 2,000 dimensions of `vector` and
 * 4,000 of `halfvec`, so the index is of halves; the column keeps its floats (pgvector's README, "Half-Precision Indexing").
 */
export async function createIndexes(
  client: PgQueries,
  { schema, runId, type }: { readonly schema: string; readonly runId: string; readonly type: PgRowType },
): Promise<string[]> {
  const label = `rows_label_${runId.replace("-", "_")}`;
  await client.query(
    `CREATE INDEX IF NOT EXISTS "${label}" ON "${schema}".rows (label, score DESC) WHERE run_id = '${runId}'`,
  );
  if (!type.columns.some(({ name, typeName }) => name === "embedding" && typeName === "vector")) return [label];
  await findVector(client);
  const { rows } = await client.query(
    `SELECT vector_dims(embedding) AS width FROM "${schema}".rows WHERE run_id = $1 AND embedding IS NOT NULL LIMIT 1`,
    [runId],
  );
  const width = Number(rows[0]?.width ?? 0);
  if (width === 0) return [label];
  if (width > 4_000)
    throw new UnfitTables(`an hnsw index holds 4,000 dimensions at most, and embeddings have ${width}`);
  const nearest = `rows_embedding_${runId.replace("-", "_")}`;
  await client.query(
    `CREATE INDEX IF NOT EXISTS "${nearest}" ON "${schema}".rows
     USING hnsw ((embedding::halfvec(${width})) halfvec_cosine_ops) WHERE run_id = '${runId}'`,
  );
  return [label, nearest];
}

async function requireServer(client: PgQueries): Promise<void> {
  const { rows } = await client.query(
    "SELECT current_setting('server_version_num')::int AS version, current_setting('server_encoding') AS encoding",
  );
  const { version, encoding } = rows[0] ?? {};
  if (Number(version) < 120_000) throw new UnfitTables(`Postgres 12 or newer is needed, it is ${version}`);
  if (encoding !== "UTF8") throw new UnfitTables(`the encoding of the database must be UTF8, it is ${encoding}`);
}

async function findRowType(client: PgQueries, schema: string): Promise<PgRowType | null> {
  const { rows } = await client.query(
    `SELECT c.reltype::int8 AS row_oid, a.attname AS name, a.atttypid::int8 AS type_oid, t.typname AS type_name
     FROM pg_class c
     JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     JOIN pg_type t ON t.oid = a.atttypid
     WHERE n.nspname = $1 AND c.relname = 'rows' AND c.relkind IN ('r', 'p')
       AND to_regclass(format('%I.runs', n.nspname)) IS NOT NULL AND to_regclass(format('%I.parts', n.nspname)) IS NOT NULL
     ORDER BY a.attnum`,
    [schema],
  );
  if (rows.length === 0) return null;
  const columns = rows.map((row) => ({
    name: String(row.name),
    typeOid: Number(row.type_oid),
    typeName: String(row.type_name),
  }));
  return { oid: Number(rows[0]?.row_oid), columns };
}

function requireColumns(schema: string, type: PgRowType): PgRowType {
  for (const name of sqlColumns) {
    const found = type.columns.find((column) => column.name === name)?.typeName;
    const expected = pgTypeNames[rowColumns[name].type];
    if (found === expected || (name === "embedding" && found === "vector")) continue;
    throw new UnfitTables(`column ${name} of ${schema}.rows must be ${expected}, it is ${found ?? "not there"}`);
  }
  return type;
}

/** Of several processes at once, one creates: CREATE … IF NOT EXISTS alone fails where two of them meet. */
async function createTables(client: PgQueries, schema: string): Promise<void> {
  await client.query("BEGIN");
  await client.query("SELECT pg_advisory_xact_lock(hashtextextended('labelmill tables', 0))");
  const embedding = (await hasVector(client)) ? "vector" : "real[]";
  const columns = sqlColumns.map((name) => {
    const { type, nullable } = rowColumns[name];
    return `${name} ${name === "embedding" ? embedding : sqlType(type)}${nullable ? "" : " NOT NULL"}`;
  });
  const { rows } = await client.query("SELECT 1 FROM pg_namespace WHERE nspname = $1", [schema]);
  if (rows.length === 0) await client.query(`CREATE SCHEMA "${schema}"`);
  await client.query(`CREATE TABLE IF NOT EXISTS "${schema}".runs (
    run_id text PRIMARY KEY, epoch text NOT NULL, created_at timestamptz NOT NULL, model text NOT NULL,
    model_sha256 text NOT NULL, preprocess_sha256 text NOT NULL, precision text NOT NULL)`);
  await client.query(
    `CREATE TABLE IF NOT EXISTS "${schema}".rows (${columns.join(", ")}, PRIMARY KEY (run_id, item_index))`,
  );
  await client.query(`CREATE TABLE IF NOT EXISTS "${schema}".parts (
    run_id text NOT NULL, chunk int8 NOT NULL, delivered_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (run_id, chunk))`);
  await client.query("COMMIT");
}

function sqlType(type: ColumnType): string {
  const name = pgTypeNames[type];
  return name.startsWith("_") ? `${name.slice(1)}[]` : name;
}

/** Makes pgvector's names known to this session; false where it is not there, and this role may not make it. */
async function hasVector(client: PgQueries): Promise<boolean> {
  if (await findVector(client)) return true;
  const { rows } = await client.query(
    `SELECT has_database_privilege(current_database(), 'CREATE') AS may_create
     FROM pg_available_extension_versions WHERE name = 'vector' AND (trusted OR
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)) LIMIT 1`,
  );
  if (rows[0]?.may_create !== true) return false;
  await client.query("CREATE EXTENSION IF NOT EXISTS vector");
  return findVector(client);
}

async function findVector(client: PgQueries): Promise<boolean> {
  const { rows } = await client.query(
    `SELECT set_config('search_path', format('%I, public', n.nspname), false)
     FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'`,
  );
  return rows.length > 0;
}
