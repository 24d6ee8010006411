import { type CallContext, resolveCall } from "../library/context.js";
import { readingOptions } from "../library/open-results.js";
import type { ReadingOptions } from "../results/open.js";
import type { ResolvedOptions } from "../shared/options.js";
import { openTerminal, type Terminal } from "./terminal.js";

/** What a command that reads a dataset needs; the first Ctrl-C ends it with RUN_INTERRUPTED. Throws OPTION_INVALID. */
export function openReading(
  out: string,
  options: ResolvedOptions,
): {
  readonly terminal: Terminal;
  readonly context: CallContext;
  readonly reading: ReadingOptions & { readonly signal: AbortSignal };
} {
  const terminal = openTerminal(options);
  const context = resolveCall({ ...options, log: terminal.log, signal: terminal.catchSignals() });
  return { terminal, context, reading: readingOptions(out, context) };
}
