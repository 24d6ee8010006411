/**
 * `npm test`: everything that the tests need, then the compiled tests under coverage, in two groups at once: whole commands,
 * which often wait for processes of theirs, and the rest. Arguments go to mocha, for example `npm test -- --grep batch` or
 * `npm test -- 'dist/test/worker/*.test.js'`; then there is one group, and coverage is neither measured nor judged.
 * The last line is always `N passed, N failed, N skipped`, and the exit status is 0 only if none failed.
 */
import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setup } from "./setup.mjs";
import { root, runScript, StepError } from "./step.mjs";

const everything = "dist/test/**/*.test.js";
const wholeCommands = "dist/test/e2e/**/*.test.js";
const coverageDir = join(root, "coverage");
const tallyLine = /^(\d+) passed, (\d+) failed, (\d+) skipped$/;

/** @typedef {{ passed: number, failed: number, skipped: number, status: number }} Outcome */

async function main() {
  const args = process.argv.slice(2);
  let outcome = { passed: 0, failed: 0, skipped: 0, status: 1 };
  try {
    await setup();
    outcome = args.length === 0 ? await testEverything() : await run(mocha(withSpec(args)));
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    console.error(error.message);
  }
  const { passed, skipped, status } = outcome;
  // A crash, a leak or coverage below its thresholds fails the run although no test failed.
  const failed = status !== 0 && outcome.failed === 0 ? 1 : outcome.failed;
  process.exitCode = failed === 0 ? 0 : 1;
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
}

/** @param {readonly string[]} args */
const mocha = (args) => ["node_modules/mocha/bin/mocha.js", "--reporter", "./dist/test/support/reporter.js", ...args];

/** @param {readonly string[]} args */
const withSpec = (args) => (args.some((arg) => arg.includes(".test.js")) ? args : [...args, everything]);

/** Both groups, of which the second is shown when the first has ended, then the coverage of both. @returns {Promise<Outcome>} */
async function testEverything() {
  await rm(coverageDir, { recursive: true, force: true });
  // Where c8 looks for what V8 has counted in each process.
  const env = { NODE_V8_COVERAGE: join(coverageDir, "tmp") };
  const screen = openScreen();
  const first = run(mocha([wholeCommands]), { env });
  const second = run(mocha(["--ignore", wholeCommands, everything]), { env, print: screen.print });
  first.then(screen.show, screen.show);
  const outcomes = await Promise.all([first, second]);
  outcomes.push(await run(["node_modules/c8/bin/c8.js", "report"]));
  return outcomes.reduce((a, b) => ({
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
    status: a.status || b.status,
  }));
}

/** Keeps lines back until `show` is called. */
function openScreen() {
  /** @type {string[] | null} */
  let held = [];
  return {
    print(/** @type {string} */ line) {
      if (held === null) console.log(line);
      else held.push(line);
    },
    show() {
      for (const line of held ?? []) console.log(line);
      held = null;
    },
  };
}

/**
 * Runs node with `args` and prints its output, but for the reporter's last line.
 * @param {readonly string[]} args
 * @param {{ env?: Record<string, string>, print?: (line: string) => void }} [options]
 * @returns {Promise<Outcome>}
 */
async function run(args, { env = {}, print = console.log } = {}) {
  const colour = process.stdout.isTTY ? { FORCE_COLOR: "1" } : {};
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...colour, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("close", (code) => resolve(code ?? 1)));
  let tally = { passed: 0, failed: 0, skipped: 0 };
  for await (const line of createInterface({ input: child.stdout })) {
    const found = tallyLine.exec(line);
    if (found === null) print(line);
    else tally = { passed: Number(found[1]), failed: Number(found[2]), skipped: Number(found[3]) };
  }
  return { ...tally, status: await ended };
}

await runScript(main);
