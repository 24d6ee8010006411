/**
 * What the scripts of this folder share: steps that announce themselves and say how long they took, and failures of one
 * sentence. Plain Node 20 without dependencies, since the first step of a fresh clone is to install those.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The repository's root, without a slash at the end. */
export const root = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

/** A failure that a script reports as one sentence, without a stack. */
export class StepError extends Error {
  /** @param {string} message @param {number} exitCode */
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/**
 * Runs `work` and prints on stderr what it was, what it returned (a few words), and the seconds it took.
 * @param {string} name @param {() => string | Promise<string>} work
 */
export async function step(name, work) {
  const startedAt = performance.now();
  const outcome = await work();
  console.error(`[${name}] ${outcome} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`);
}

/**
 * Runs a program to its end and gives its exit status and what it wrote to a piped stdout. Signals sent to the terminal's
 * process group reach the program as well.
 * @param {string} program @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, stdout?: "pipe" | "inherit" | number }} options
 * @returns {Promise<{ status: number, stdout: string }>}
 */
export function execute(program, args, { env = process.env, stdout = "inherit" } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: root, env, stdio: ["ignore", stdout, "inherit"] });
    let text = "";
    child.stdout?.setEncoding("utf8").on("data", (piece) => {
      text += piece;
    });
    child.once("error", (error) => reject(new StepError(`Could not start ${program}: ${error.message}.`)));
    child.once("close", (status) => resolve({ status: status ?? 1, stdout: text }));
  });
}

/**
 * Runs a script's main function; a StepError becomes its sentence and exit status, anything else keeps its stack.
 * @param {() => Promise<void>} main
 */
export async function runScript(main) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    console.error(error.message);
    process.exitCode = error.exitCode;
  }
}
