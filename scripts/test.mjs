/**
 * `npm test`: everything that the tests need, then the compiled tests under coverage. Arguments go to mocha, for example
 * `npm test -- --grep batch` or `npm test -- 'dist/test/worker/*.test.js'`; then coverage is neither measured nor judged.
 * The last line is always `N passed, N failed, N skipped`, and the exit status is 0 only if none failed.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setup } from "./setup.mjs";
import { root, runScript, StepError } from "./step.mjs";

const everything = "dist/test/**/*.test.js";
const tallyLine = /^(\d+) passed, (\d+) failed, (\d+) skipped$/;

async function main() {
  const args = process.argv.slice(2);
  let tally = { passed: 0, failed: 0, skipped: 0 };
  let status = 1;
  try {
    await setup();
    const command =
      args.length === 0 ? ["node_modules/c8/bin/c8.js", "node", ...mocha([everything])] : mocha(withSpec(args));
    ({ tally, status } = await runTests(command));
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    console.error(error.message);
  }
  // A crash, a leak or coverage below its thresholds fails the run although no test failed.
  const failed = status !== 0 && tally.failed === 0 ? 1 : tally.failed;
  process.exitCode = failed === 0 ? 0 : 1;
  console.log(`${tally.passed} passed, ${failed} failed, ${tally.skipped} skipped`);
}

/** @param {readonly string[]} args */
const mocha = (args) => ["node_modules/mocha/bin/mocha.js", "--reporter", "./dist/test/support/reporter.js", ...args];

/** @param {readonly string[]} args */
const withSpec = (args) => (args.some((arg) => arg.includes(".test.js")) ? args : [...args, everything]);

/** Runs node with `args`, shows its output, and keeps back the reporter's last line until the coverage was printed. @param {readonly string[]} args */
async function runTests(args) {
  const env = process.stdout.isTTY ? { ...process.env, FORCE_COLOR: "1" } : process.env;
  const child = spawn("node", args, { cwd: root, env, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("close", (code) => resolve(code ?? 1)));
  let tally = { passed: 0, failed: 0, skipped: 0 };
  for await (const line of createInterface({ input: child.stdout })) {
    const found = tallyLine.exec(line);
    if (found === null) console.log(line);
    else tally = { passed: Number(found[1]), failed: Number(found[2]), skipped: Number(found[3]) };
  }
  return { tally, status: await ended };
}

await runScript(main);
