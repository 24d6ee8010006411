/**
 * `npm run quickstart`: from a fresh clone to labelled photos. Sets up what is missing, labels examples/photos as a user
 * would, and shows the rows and how to read them. Repeating it finds its finished run and shows the same.
 */
import { relative } from "node:path";
import { setup } from "./setup.mjs";
import { execute, root, runScript, StepError, step } from "./step.mjs";

const photos = "examples/photos";
const out = "labelmill-out/quickstart";

async function main() {
  await setup();
  await step("run", async () => {
    const command = ["dist/src/cli/main.js", "run", photos, "--out", out];
    console.error(`[run] labelmill run ${photos} --out ${out}`);
    const { status } = await execute("node", command);
    if (status !== 0) throw new StepError(`labelmill run ended with status ${status}, see above.`, status);
    return "complete";
  });
  await printRows();
  console.log(`\nThe dataset is in ${out} (one row per photo, with 2,048-number embeddings). To read it:\n`);
  console.log(`  duckdb -c "SELECT uri, label, score FROM '${out}/parts/*.parquet'"`);
  console.log(`  python3 -c "import pandas; print(pandas.read_parquet('${out}/parts')[['uri', 'label', 'score']])"`);
}

async function printRows() {
  const { openResults } = await import("../dist/src/library/index.js");
  const results = await openResults(`${root}/${out}`);
  console.log(`\n${"photo".padEnd(32)} ${"label".padEnd(24)} score`);
  for await (const { uri, label, score, error_code } of results.rows({
    columns: ["uri", "label", "score", "error_code"],
  })) {
    const verdict = label === null ? error_code : `${label.padEnd(24)} ${score.toFixed(3)}`;
    console.log(`${relative(root, uri).padEnd(32)} ${verdict}`);
  }
}

await runScript(main);
