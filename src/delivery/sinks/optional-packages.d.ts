/**
 * What is used of the package that labelmill works without: LanceDB 0.31. Declared here, so that labelmill compiles where it
 * is not installed.
 */
declare module "@lancedb/lancedb" {
  export interface Upsert {
    whenMatchedUpdateAll(): Upsert;
    whenNotMatchedInsertAll(): Upsert;
    execute(rows: readonly Record<string, unknown>[]): Promise<unknown>;
  }

  export interface Query {
    where(filter: string): Query;
    select(columns: string[]): Query;
    // biome-ignore lint/suspicious/noExplicitAny: columns have the types that Arrow gives them
    toArray(): Promise<Record<string, any>[]>;
  }

  export interface Table {
    schema(): Promise<import("apache-arrow").Schema>;
    checkoutLatest(): Promise<void>;
    addColumns(columns: { name: string; valueSql: string }[]): Promise<unknown>;
    mergeInsert(key: string): Upsert;
    query(): Query;
    optimize(): Promise<unknown>;
    listIndices(): Promise<{ columns: string[] }[]>;
    createIndex(column: string, options: { config: unknown }): Promise<void>;
    close(): void;
  }

  export interface Connection {
    tableNames(options?: { startAfter?: string; limit?: number }): Promise<string[]>;
    createEmptyTable(name: string, schema: import("apache-arrow").Schema, options: { mode: "create" }): Promise<Table>;
    openTable(name: string): Promise<Table>;
    close(): void;
  }

  export function connect(directory: string): Promise<Connection>;
  export const Index: { hnswSq(options: { distanceType: "cosine" }): unknown };
}
