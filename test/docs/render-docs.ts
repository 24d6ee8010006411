/**
 * Renders `docs/errors.md` and `docs/options.md` from the tables in the code, and the table of faults in `docs/fetch.md` from
 * the test's list, and that of states in `docs/operations.md`. Read by `generate.ts` and by the test.
 */
import { errorTable } from "../../src/shared/errors.js";
import { type MetricSpec, metricTable } from "../../src/shared/metrics.js";
import type { OptionClass, OptionSpec } from "../../src/shared/option-spec.js";
import { optionTable } from "../../src/shared/option-table.js";
import { envNameOf, optionNames } from "../../src/shared/options.js";
import { controlTable, type RunOutcome, type ShownState } from "../../src/shared/run-control.js";
import { runStates } from "../../src/shared/run-record.js";
import { faults } from "../support/faults/origin.js";

const cell = (text: string) => text.replaceAll("|", "\\|");
const row = (...cells: string[]) => `| ${cells.map(cell).join(" | ")} |`;

export function renderErrors(): string {
  const entries = Object.entries(errorTable);
  const items = entries.filter(([, spec]) => spec.scope === "item");
  const runs = entries.filter(([, spec]) => spec.scope === "run");
  return `# Error codes

Generated from \`src/shared/errors.ts\` by \`npm run docs:generate\`; a test fails where the two differ.

## Rows

These stand in \`error_code\` of a failed row. The run goes on, and ends with exit status 3. *Retryable* means that the same
bytes and settings may succeed at another time.

${row("code", "retryable", "what it means")}
${row("---", "---", "---")}
${items.map(([code, { retryable, doc }]) => row(`\`${code}\``, retryable ? "yes" : "no", doc)).join("\n")}

## Runs

These end a command, with one sentence on stderr. *Retryable* means that repeating the same command may go on without
anything else being changed.

${row("code", "exit status", "retryable", "what it means")}
${row("---", "---", "---", "---")}
${runs.map(([code, spec]) => row(`\`${code}\``, String("exitCode" in spec ? spec.exitCode : ""), spec.retryable ? "yes" : "no", spec.doc)).join("\n")}
`;
}

/** `page` with its table of faults made anew. */
export function renderFaults(page: string): string {
  const rows = faults.map(({ what, code }) => row(what, code === "ok" ? "ok" : `\`${code}\``));
  return withTable(page, "faults", [row("what the server does", "the row"), row("---", "---"), ...rows]);
}

/** `page` with its table of what commands do in each state made anew. */
export function renderControls(page: string): string {
  const commands = Object.entries(controlTable);
  const states: readonly ShownState[] = [...runStates, "interrupted"];
  const rows = states.map((state) =>
    row(`**${state}**`, ...commands.map(([, cells]) => describeOutcome(cells[state]))),
  );
  const header = row("state", ...commands.map(([command]) => `\`${command}\``));
  return withTable(page, "states", [header, row("---", ...commands.map(() => "---")), ...rows]);
}

/** `page` with its table of figures made anew. */
export function renderMetrics(page: string): string {
  const specs: [string, MetricSpec][] = Object.entries(metricTable);
  const rows = specs.map(([name, { type, help, labels }]) => {
    return row(`\`${name}\``, type, labels.map((label) => `\`${label}\``).join(", "), help);
  });
  return withTable(page, "metrics", [
    row("name", "type", "labels", "what it is"),
    row("---", "---", "---", "---"),
    ...rows,
  ]);
}

function describeOutcome(outcome: RunOutcome): string {
  if (outcome.kind === "moves") return `→ ${outcome.to}`;
  return outcome.kind === "stays" ? "no change" : `error: ${outcome.reason}`;
}

function withTable(page: string, name: string, lines: readonly string[]): string {
  return page.replace(
    new RegExp(`(<!-- ${name} -->\\n)[\\s\\S]*(<!-- /${name} -->)`),
    (_, start: string, end: string) => `${start}${lines.join("\n")}\n${end}`,
  );
}

const classTexts: Readonly<Record<OptionClass, string>> = {
  identity:
    "Pinned in `run.json` when the run is created. The same output with another value is refused, naming the difference (but `--out` only says where).",
  policy: "May change when a run is resumed.",
  execution: "Each worker's own.",
};

export function renderOptions(): string {
  const sections = (Object.keys(classTexts) as OptionClass[]).map((optionClass) => {
    const names = optionNames.filter((name) => optionTable[name].class === optionClass);
    const rows = names.map((name) => {
      const spec: OptionSpec = optionTable[name];
      const fallback = spec.defaultText ?? (Array.isArray(spec.default) ? "none" : String(spec.default));
      const commands = spec.commands.map((command) => `\`${command}\``).join(", ");
      return row(
        `\`${spec.flag}\``,
        `\`${name}\``,
        `\`${envNameOf(name)}\``,
        fallback,
        `${spec.description}; ${spec.expected}`,
        commands,
      );
    });
    const header = [
      row("flag", "config key", "variable", "default", "what it does", "commands"),
      row(...Array<string>(6).fill("---")),
    ];
    return `## ${optionClass}\n\n${classTexts[optionClass]}\n\n${[...header, ...rows].join("\n")}\n`;
  });
  return `# Options

Generated from \`src/shared/option-table.ts\` by \`npm run docs:generate\`; a test fails where the two differ.

Flag > environment variable > \`labelmill.config.json\` or \`labelmill.config.yaml\` in the current directory > default. A config
file maps the config keys to values; lists may also be given as a repeated flag, or comma-separated in a variable. The
library takes the config keys as properties.

${sections.join("\n")}`;
}
