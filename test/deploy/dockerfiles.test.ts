/** No engine runs these here: each is parsed, what it names must be there, and what it promises must stand in it. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { assertSettings, deployRoot, pinnedImage } from "../support/deploy.js";
import { projectRoot } from "../support/shared-data.js";

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

const known = ["ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"];

/** Instructions with their arguments, continued lines joined. */
function instructionsOf(text: string): readonly Instruction[] {
  const joined = text.replaceAll(/^#.*\n/gm, "").replaceAll(/\\\n\s*/g, " ");
  const lines = joined.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => {
    const [, name = "", rest = ""] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    assert.ok([...known, "ENTRYPOINT", "CMD"].includes(name), line);
    return { name, rest };
  });
}

const all = (instructions: readonly Instruction[], name: string) =>
  instructions.filter((each) => each.name === name).map(({ rest }) => rest);

for (const file of ["Dockerfile", "Dockerfile.gpu"]) {
  describe(`deploy/${file}`, () => {
    let text = "";
    let instructions: readonly Instruction[] = [];
    let stages: readonly (string | undefined)[] = [];
    let last: (name: string) => string = () => "";
    before(async () => {
      text = await readFile(join(deployRoot, file), "utf8");
      instructions = instructionsOf(text);
      stages = all(instructions, "FROM").map((each) => each.split(" AS ")[1]);
      const lastStage = instructions.slice(instructions.findLastIndex(({ name }) => name === "FROM"));
      last = (name) => all(lastStage, name)[0] ?? "";
    });

    it("starts from images of one version each, or from its own stages", () => {
      const args = Object.fromEntries(all(instructions, "ARG").map((each) => each.split("=", 2)));
      for (const from of all(instructions, "FROM")) {
        const image = (from.split(" ")[0] ?? "").replaceAll(/\$\{(\w+)\}/g, (_, name: string) => args[name]);
        assert.ok(stages.includes(image) || pinnedImage.test(image), image);
      }
    });

    it("copies what is there", () => {
      for (const copy of all(instructions, "COPY")) {
        const [, stage] = /^--from=(\S+) /.exec(copy) ?? [];
        if (stage !== undefined) assert.ok(stages.includes(stage), stage);
        const sources = stage === undefined ? copy.split(" ").slice(0, -1) : [];
        for (const source of sources) assert.ok(existsSync(join(projectRoot, source)), source);
      }
    });

    it("ends as a worker without root, with a health check, that is told to stop by SIGTERM", () => {
      assert.match(last("USER"), /^[1-9]\d+:[1-9]\d+$/);
      assert.equal(last("STOPSIGNAL"), "SIGTERM");
      assert.match(last("HEALTHCHECK"), /\/livez/);
      assert.deepEqual(JSON.parse(last("ENTRYPOINT")), ["node", "/app/dist/src/cli/main.js"]);
      assert.deepEqual(JSON.parse(last("CMD")), ["work"]);
    });

    it("sets options that exist, and no secret", () => {
      const pairs = last("ENV").split(/\s+/);
      assertSettings(Object.fromEntries(pairs.map((each) => each.split("=", 2))));
      assert.doesNotMatch(text, /(password|secret|token)=/i);
    });
  });
}
