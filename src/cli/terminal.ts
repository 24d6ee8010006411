/**
 * The process as the commands see it: its streams and its signals. Results go to stdout, everything else to stderr.
 */
import { Writable } from "node:stream";
import { createLog, type Log } from "../shared/log.js";
import type { ResolvedOptions } from "../shared/options.js";
import { printableLines } from "../shared/printable.js";

/** The exit status of a finished run with failed rows. */
export const exitWithFailures = 3;

export interface Terminal {
  /** Writes to stdout, with a line end. */
  print(text: string): void;
  readonly stderr: NodeJS.WriteStream;
  readonly log: Log;
  /** A signal that aborts at the first SIGINT or SIGTERM; the second ends the process at once. */
  catchSignals(): AbortSignal;
  /** While set, log lines go through it, so that they do not break a progress bar. */
  interceptLines(write: ((line: string) => void) | null): void;
}

/** Opens the terminal of one command. */
export function openTerminal({ logFormat, logLevel }: Pick<ResolvedOptions, "logFormat" | "logLevel">): Terminal {
  let intercept: ((line: string) => void) | null = null;
  const stream = new Writable({
    write(line, _encoding, done) {
      if (intercept === null) process.stderr.write(line, () => done());
      else {
        intercept(String(line));
        done();
      }
    },
  });
  const log = createLog({ format: logFormat, level: logLevel, stream });
  return {
    print: (text) => void process.stdout.write(`${printableLines(text)}\n`),
    stderr: process.stderr,
    log,
    catchSignals: () => catchSignals(log),
    interceptLines(write) {
      intercept = write;
    },
  };
}

/** A reader that has gone (`| head`) must not end the work; called once, before anything is written. */
export function ignoreClosedPipes(): void {
  for (const output of [process.stdout, process.stderr]) output.on("error", ignoreClosedPipe);
}

function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
}

function catchSignals(log: Log): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(130);
      log.info(`${name}: finishing what is in hand; once more to stop at once`);
      controller.abort();
    });
  }
  return controller.signal;
}
