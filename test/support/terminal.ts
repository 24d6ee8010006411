import { Writable } from "node:stream";
import type { Terminal } from "../../src/cli/terminal.js";
import { createLog } from "../../src/shared/log.js";

/** A terminal that keeps what is written to its stderr; `columns` makes it one that people look at. */
export function fakeTerminal(columns?: number): { terminal: Terminal; written: () => string } {
  let written = "";
  let intercept: ((line: string) => void) | null = null;
  const keep = new Writable({
    write(text, _encoding, done) {
      written += text;
      done();
    },
  });
  const lines = new Writable({
    write(line, _encoding, done) {
      if (intercept === null) written += line;
      else intercept(String(line));
      done();
    },
  });
  const tty = { cursorTo: () => true, moveCursor: () => true, clearLine: () => true, clearScreenDown: () => true };
  const stderr = Object.assign(keep, columns === undefined ? {} : { isTTY: true, columns, ...tty });
  const terminal: Terminal = {
    print: () => {},
    stderr: stderr as unknown as NodeJS.WriteStream,
    log: createLog({ format: "text", level: "info", stream: lines }),
    catchSignals: () => new AbortController().signal,
    interceptLines(write) {
      intercept = write;
    },
  };
  return { terminal, written: () => written };
}
