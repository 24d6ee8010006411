/**
 * Parts into Postgres. A part is one transaction: its rows, and its line in `parts` that says that they are there; so
 * whatever kills us or the server, both are there or neither. Two processes with one part: the second finds it locked, and
 * goes on to the next. Opened by `open-sink` only.
 */
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client, ClientConfig } from "pg";
import type { RunHead } from "../../dataset/run-head.js";
import { LabelmillError, messageOf, systemCode } from "../../shared/errors.js";
import type { SinkTarget } from "../sink-target.js";
import { encodeRows, type PgRowType } from "./pg-binary.js";
import { createIndexes, enterRun, prepareTables, sqlColumns, UnfitTables } from "./pg-tables.js";
import type { DeliveryOutcome, PartToDeliver, Sink } from "./sink.js";

const connectTimeoutMs = 10_000;
/** A server that is silent for longer is taken for lost; an insert of 256 rows takes a tenth of a second. */
const queryTimeoutMs = 60_000;
/** One that is halted in the middle must not keep a part from others for ever. */
const idleTimeoutMs = 60_000;
/** Of one insert: 2 MB with embeddings of 2,048 floats, so that neither side holds a large part twice. */
const rowsOfInsert = 256;
const endTimeoutMs = 1_000;

/** Connects, and makes the tables unless they are there. Throws SINK_UNREACHABLE, SINK_REFUSED. */
export async function openPostgresSink(target: SinkTarget, head: RunHead, signal: AbortSignal): Promise<Sink> {
  const schema = target.parameters.schema ?? "labelmill";
  const { Client: PgClient } = (await import("pg")).default;
  const client = new PgClient(await clientConfig(target));
  // Each query's own promise carries its error; without a listener the connection's would end the process.
  client.on("error", () => {});
  const failing = <T>(action: () => Promise<T>): Promise<T> =>
    action().catch((error) => Promise.reject(failure(target, error)));
  const abort = () => streamOf(client).destroy();
  signal.addEventListener("abort", abort, { once: true });
  try {
    const type = await failing(async () => {
      await client.connect();
      await client.query(`SET idle_in_transaction_session_timeout = ${idleTimeoutMs}`);
      const found = await prepareTables(client, schema);
      await enterRun(client, schema, head);
      return found;
    });
    return {
      deliveredChunks: () => failing(() => deliveredChunks(client, schema, head.runId)),
      deliver: (part) => failing(() => deliver(client, { schema, type, runId: head.runId }, part)),
      index: () => failing(() => indexAtLeisure(client, { schema, type, runId: head.runId })),
      close: () => endClient(client),
    };
  } catch (error) {
    await endClient(client);
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

interface Place {
  readonly schema: string;
  readonly type: PgRowType;
  readonly runId: string;
}

async function deliveredChunks(client: Client, schema: string, runId: string): Promise<ReadonlySet<number>> {
  const { rows } = await client.query<[number]>({
    text: `SELECT chunk::float8 FROM "${schema}".parts WHERE run_id = $1`,
    values: [runId],
    rowMode: "array",
  });
  return new Set(rows.map(([chunk]) => chunk));
}

async function deliver(client: Client, place: Place, part: PartToDeliver): Promise<DeliveryOutcome> {
  const { schema, runId } = place;
  await client.query("BEGIN");
  const outcome = await lookAt(client, place, part);
  if (outcome !== null) {
    await client.query("ROLLBACK");
    return outcome;
  }
  const rows = await part.rows().catch(async (error: unknown) => {
    await client.query("ROLLBACK");
    throw error;
  });
  for (let from = 0; from < rows.length; from += rowsOfInsert) {
    await client.query(insertText(schema), [encodeRows(rows.slice(from, from + rowsOfInsert), place.type)]);
  }
  await client.query(`INSERT INTO "${schema}".parts (run_id, chunk) VALUES ($1, $2) ON CONFLICT DO NOTHING`, [
    runId,
    part.chunk,
  ]);
  await client.query("COMMIT");
  return "delivered";
}

/** Null where the part is ours to deliver, until the transaction ends. */
async function lookAt(
  client: Client,
  { schema, runId }: Place,
  { chunk, isNewer }: PartToDeliver,
): Promise<DeliveryOutcome | null> {
  const { rows: locks } = await client.query<{ is_ours: boolean }>(
    "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS is_ours",
    [`labelmill part ${schema} ${runId} ${chunk}`],
  );
  if (locks[0]?.is_ours !== true) return "busy";
  if (isNewer) return null;
  // A query of its own: it must see what the last holder of the lock has committed.
  const { rows } = await client.query(`SELECT 1 FROM "${schema}".parts WHERE run_id = $1 AND chunk = $2`, [
    runId,
    chunk,
  ]);
  return rows.length > 0 ? "present" : null;
}

/** Rows that are there though their part is not noted, as after a user's DELETE FROM parts, are replaced. */
function insertText(schema: string): string {
  const others = sqlColumns.filter((name) => name !== "run_id" && name !== "item_index");
  return `INSERT INTO "${schema}".rows (${sqlColumns.join(", ")})
    SELECT ${sqlColumns.join(", ")} FROM unnest($1::"${schema}".rows[])
    ON CONFLICT (run_id, item_index) DO UPDATE SET ${others.map((name) => `${name} = EXCLUDED.${name}`).join(", ")}`;
}

/** Known to pg, though not to its types. The longest that a timer of Node takes. */
const atLeisure: object = { query_timeout: 2 ** 31 - 1 };

/** An index of a million embeddings takes hours; the server's silence says nothing then. */
function indexAtLeisure(client: Client, place: Place): Promise<string[]> {
  return createIndexes({ query: (text, values = []) => client.query({ text, values, ...atLeisure }) }, place);
}

async function clientConfig(target: SinkTarget): Promise<ClientConfig> {
  const { user, password, host, port, database, parameters } = target;
  const ssl = await readTls(target);
  return {
    ...(user === null ? {} : { user }),
    ...(password === null ? {} : { password }),
    ...(host === "" && parameters.host === undefined ? {} : { host: parameters.host ?? host }),
    ...(port === null ? {} : { port }),
    ...(ssl === null ? {} : { ssl }),
    database,
    application_name: "labelmill",
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: queryTimeoutMs,
    keepAlive: true,
  };
}

/** In libpq's words: `require` encrypts, `verify-full` looks at the certificate too. Null leaves it to PGSSLMODE. */
async function readTls({ name, parameters }: SinkTarget): Promise<ClientConfig["ssl"] | null> {
  const { sslmode, sslrootcert } = parameters;
  if (sslmode === undefined && sslrootcert === undefined) return null;
  if (sslmode === "disable") return false;
  if (sslrootcert === undefined) return { rejectUnauthorized: sslmode === "verify-full" };
  const ca = await readFile(sslrootcert, "utf8").catch((cause: unknown) => {
    throw new LabelmillError("SINK_REFUSED", { sink: name, reason: messageOf(cause) }, { cause });
  });
  return { ca, rejectUnauthorized: true };
}

/** Says goodbye to a server that listens, and leaves one that does not. */
async function endClient(client: Client): Promise<void> {
  const ended = client.end().catch(() => {});
  await Promise.race([ended, sleep(endTimeoutMs, undefined, { ref: false })]);
  streamOf(client).destroy();
}

/** The socket is no part of the types, and nothing else ends a connection that is silent. */
function streamOf(client: Client): { destroy(): void } {
  return (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream;
}

/**
 * Classes of SQLSTATE that may pass by themselves (Postgres's manual, appendix A): connection, insufficient resources,
 * operator intervention, rolled back, lock not available, idle in a transaction, I/O error, read-only while failing over.
 */
const passing = /^(08|53|57|40|58)|^(55P03|25P03|25P04|25006)$/;
const isSqlState = /^[0-9A-Z]{5}$/;

/** What pg itself says where the server asks for a password and none is known. */
const lacksPassword = /client password must be a string/;
const noPassword = "it asks for a password, and none is given: set PGPASSWORD, or PGPASSFILE to a file of mode 0600";

function refuse({ name }: SinkTarget, cause: unknown, reason: string): LabelmillError {
  return new LabelmillError("SINK_REFUSED", { sink: name, reason }, { cause });
}

function failure(target: SinkTarget, error: unknown): LabelmillError {
  if (error instanceof LabelmillError) return error;
  if (lacksPassword.test(messageOf(error))) return refuse(target, error, noPassword);
  const state = systemCode(error);
  const isRefusal =
    error instanceof UnfitTables || (state !== undefined && isSqlState.test(state) && !passing.test(state));
  const reason = reasonOf(target, error);
  return new LabelmillError(
    isRefusal ? "SINK_REFUSED" : "SINK_UNREACHABLE",
    { sink: target.name, reason },
    { cause: error },
  );
}

/** Connecting to several addresses fails with an error that says nothing but has all of theirs. */
function reasonOf({ password }: SinkTarget, error: unknown): string {
  const inner = error instanceof AggregateError ? error.errors[0] : error;
  const text = messageOf(inner) || (systemCode(error) ?? "no reason given");
  return password === null ? text : text.replaceAll(password, "***");
}
