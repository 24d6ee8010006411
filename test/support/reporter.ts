import type { MochaOptions } from "mocha";
import { Runner, reporters } from "mocha";

/** Milliseconds that the process may take to end after the last test; past that, something was left open. */
const endWithinMs = 10_000;

/**
 * Mocha's Spec reporter with a last line for machines: `N passed, N failed, N skipped`. A process that does not end by
 * itself afterwards is a leak in a test or in the product: it is named and ends with status 1, instead of hanging.
 */
export default class TallyReporter extends reporters.Spec {
  constructor(runner: Runner, options: MochaOptions) {
    super(runner, options);
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      const { passes = 0, failures = 0, pending = 0 } = runner.stats ?? {};
      console.log(`${passes} passed, ${failures} failed, ${pending} skipped`);
      setTimeout(endLeakingProcess, endWithinMs).unref();
    });
  }
}

function endLeakingProcess(): void {
  const open = process.getActiveResourcesInfo().join(", ");
  console.error(`The tests are over, but after ${endWithinMs / 1000} s these still keep the process alive: ${open}`);
  // Mocha sets the status to the number of failures when the process exits; this listener comes after its own.
  process.once("exit", () => {
    process.exitCode = 1;
  });
  process.exit();
}
