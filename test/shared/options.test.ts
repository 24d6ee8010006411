import assert from "node:assert/strict";
import { envNameOf, resolveOptions } from "../../src/shared/options.js";

const config = (values: Record<string, unknown>) => ({ path: "labelmill.config.yaml", values });
const rejects = (layers: Parameters<typeof resolveOptions>[0], message: RegExp) =>
  assert.throws(() => resolveOptions(layers), { name: "LabelmillError", exitCode: 2, message });

describe("shared/options", () => {
  it("prefers flag over environment over config file over default", () => {
    const env = { LABELMILL_CHUNK_SIZE: "32" };
    assert.equal(resolveOptions({}).chunkSize, 256);
    assert.equal(resolveOptions({ config: config({ chunkSize: 16 }) }).chunkSize, 16);
    assert.equal(resolveOptions({ env, config: config({ chunkSize: 16 }) }).chunkSize, 32);
    assert.equal(resolveOptions({ flags: { chunkSize: "64" }, env, config: config({ chunkSize: 16 }) }).chunkSize, 64);
  });

  it("reads Redis's customary variable", () => {
    assert.equal(envNameOf("redisUrl"), "REDIS_URL");
    assert.equal(resolveOptions({ env: { REDIS_URL: "redis://h:1" } }).redisUrl, "redis://h:1");
  });

  it("says what was expected, what was found, and where", () => {
    rejects(
      { flags: { batchSize: "0" } },
      /Expected `batchSize` to be auto or an integer from 1 to 1024, got `0` \(flag\)/,
    );
    rejects(
      { env: { LABELMILL_FORMAT: "csv" } },
      /Expected `format` to be parquet or jsonl, got `csv` \(LABELMILL_FORMAT\)/,
    );
    rejects({ config: config({ topK: [1] }) }, /got `\[1\]` \(labelmill\.config\.yaml\)/);
    for (const value of ["1.5", "-1", "1e3", "", " 5", "0x10", "NaN"])
      rejects({ flags: { chunkSize: value } }, /`chunkSize`/);
  });

  it("refuses a name in the config file that is no option", () => {
    rejects({ config: config({ chunksize: 3 }) }, /Unknown option `chunksize` in labelmill\.config\.yaml/);
  });

  it("takes lists as repeated flags, as comma-separated text and as a list", () => {
    assert.deepEqual(resolveOptions({ flags: { include: ["*.jpg", "*.png"] } }).include, ["*.jpg", "*.png"]);
    assert.deepEqual(resolveOptions({ env: { LABELMILL_INCLUDE: "*.jpg,*.png" } }).include, ["*.jpg", "*.png"]);
    assert.deepEqual(resolveOptions({ config: config({ include: ["*.jpg"] }) }).include, ["*.jpg"]);
  });

  it("takes a number or auto as batch size, and GPUs as numbers or all", () => {
    const { batchSize, devices } = resolveOptions({});
    assert.deepEqual([batchSize, devices], [null, null]);
    assert.equal(resolveOptions({ flags: { batchSize: "auto" } }).batchSize, "auto");
    assert.equal(resolveOptions({ flags: { batchSize: "16" } }).batchSize, 16);
    assert.equal(resolveOptions({ flags: { devices: "all" } }).devices, "all");
    assert.deepEqual(resolveOptions({ env: { LABELMILL_DEVICES: "1,0" } }).devices, [1, 0]);
    assert.deepEqual(resolveOptions({ config: config({ devices: [2] }) }).devices, [2]);
    for (const devices of ["", "0,", "0,0", "-1", "a", [], ["x"]])
      rejects({ config: config({ devices }) }, /Expected `devices` to be all, or different numbers of GPUs/);
  });

  it("takes columns with commas between them, in every way of giving them, and each once", () => {
    assert.deepEqual(resolveOptions({ flags: { keepColumns: ["a,b", "c"] } }).keepColumns, ["a", "b", "c"]);
    assert.deepEqual(resolveOptions({ env: { LABELMILL_KEEP_COLUMNS: "a,b" } }).keepColumns, ["a", "b"]);
    rejects({ flags: { keepColumns: "a,b,a" } }, /`keepColumns` to be names of columns, each once/);
    rejects({ flags: { keepColumns: "a,,b" } }, /`keepColumns`/);
  });

  it("gives a frozen object", () => {
    assert.ok(Object.isFrozen(resolveOptions({})));
  });
});
