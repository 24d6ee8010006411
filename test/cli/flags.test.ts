import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import { addFlags } from "../../src/cli/flags.js";
import type { CommandName, OptionSpec } from "../../src/shared/option-spec.js";
import { optionTable } from "../../src/shared/option-table.js";
import { optionNames } from "../../src/shared/options.js";
import { runCli, startCli } from "../support/cli.js";
import { useTempDir } from "../support/temp-dir.js";

const commands: readonly (readonly [CommandName, readonly string[]])[] = [
  ["run", ["run"]],
  ["enqueue", ["enqueue"]],
  ["work", ["work"]],
  ["doctor", ["doctor"]],
  ["models", ["models", "pull"]],
  ["models verify", ["models", "verify"]],
  ["results", ["results", "stats"]],
];

describe("cli/flags", () => {
  const tempDir = useTempDir();

  for (const [name, command] of commands) {
    it(`offers every option of the table in the help of ${command.join(" ")}, and no other`, async () => {
      const { stdout, code } = await runCli([...command, "--help"]);
      assert.equal(code, 0);
      for (const option of optionNames) {
        const { flag, commands: takers }: OptionSpec = optionTable[option];
        assert.equal(stdout.includes(`${flag.split(" ")[0]} `), takers.includes(name), `${flag} of ${name}`);
      }
    });
  }

  it("parses each flag to the option that it stands for, and a repeated one to a list", () => {
    for (const option of optionNames) {
      const { flag, commands: takers, default: usual }: OptionSpec = optionTable[option];
      const [name = "", value] = flag.split(" ");
      const given = value === undefined ? [name] : [name, "a", name, "b"];
      const command = addFlags(new Command(), takers[0] ?? "run").parse(given, { from: "user" });
      const expected = value === undefined ? true : Array.isArray(usual) ? ["a", "b"] : "b";
      assert.deepEqual(command.opts(), { [option]: expected });
    }
  });

  it("reads a config file of the current directory, below flags and environment", async () => {
    const photos = join(tempDir(), "empty");
    await mkdir(photos);
    await writeFile(join(tempDir(), "labelmill.config.yaml"), "batchSize: 0\n");
    const fromFile = await runCli(["run", photos], { cwd: tempDir() });
    assert.match(fromFile.stderr, /Expected `batchSize` .* got `0` \(.*labelmill\.config\.yaml\)/);
    const fromFlag = await runCli(["run", photos, "--batch-size", "4"], { cwd: tempDir() });
    assert.match(fromFlag.stderr, /No items in/);
  });

  it("puts the environment below flags and above the config file", async () => {
    await writeFile(join(tempDir(), "labelmill.config.json"), '{"batchSize": 0, "topK": 2}');
    const env = (value: string) => ({ cwd: tempDir(), env: { LABELMILL_BATCH_SIZE: value } });
    await mkdir(join(tempDir(), "empty"));
    assert.match((await runCli(["run", "empty"], env("4"))).stderr, /No items in/);
    assert.match((await runCli(["run", "empty"], env("-3"))).stderr, /got `-3` \(LABELMILL_BATCH_SIZE\)/);
    assert.match((await runCli(["run", "empty", "--batch-size", "4"], env("-3"))).stderr, /No items in/);
  });

  it("reads the first of json, yaml and yml, whichever is there", async () => {
    await mkdir(join(tempDir(), "empty"));
    for (const [i, extension] of (["yml", "yaml", "json"] as const).entries()) {
      await writeFile(join(tempDir(), `labelmill.config.${extension}`), `{"topK": ${-1 - i}}`);
      const { stderr } = await runCli(["run", "empty"], { cwd: tempDir() });
      assert.match(stderr, new RegExp(`got \`${-1 - i}\` \\(.*labelmill\\.config\\.${extension}\\)`));
    }
  });

  it("says what is wrong with a config file", async () => {
    for (const [text, message] of [
      ["- a list", /Expected .* to be a JSON or YAML mapping: it is not a mapping/],
      ['{"a": ', /Expected .* to be a JSON or YAML mapping/],
      ["sise: 3", /Unknown option `sise`/],
    ] as const) {
      await writeFile(join(tempDir(), "labelmill.config.json"), text);
      const { code, stderr } = await runCli(["run", tempDir()], { cwd: tempDir() });
      assert.equal(code, 2);
      assert.match(stderr, message);
    }
  });

  it("ends without a word where the reader of its help has gone", async () => {
    const { process: command, result } = startCli(["run", "--help"]);
    command.stdout?.destroy();
    const { code, stderr } = await result;
    assert.deepEqual([code, stderr], [0, ""]);
  });
});
