/** Where a process tells how it is: a part of the table in `option-table.ts`, which alone reads it. */
import { type CommandName, integer, option, text } from "./option-spec.js";

const told: readonly CommandName[] = ["run", "work", "exporter"];

export const healthOptions = {
  metricsPort: option<number | null>({
    flag: "--metrics-port <port>",
    class: "execution",
    commands: told,
    description: "serve /livez, /readyz and /metrics there; 0 takes a free port and logs it",
    expected: "an integer from 0 to 65535",
    schema: integer(0, 65_535).nullable(),
    default: null,
    defaultText: "off; 9464 for `exporter`",
  }),
  metricsHost: option<string>({
    flag: "--metrics-host <address>",
    class: "execution",
    commands: told,
    description: "address that --metrics-port listens on; 0.0.0.0 or :: lets other machines ask, as Kubernetes must",
    expected: "an address or a name of this machine",
    schema: text,
    default: "127.0.0.1",
  }),
  stallTimeoutMs: option<number>({
    flag: "--stall-timeout-ms <ms>",
    class: "execution",
    commands: ["run", "work"],
    description: "how long a worker with chunks in hand may make no step until /livez says that it is stuck",
    expected: "an integer from 1000 to 86400000",
    schema: integer(1_000, 86_400_000),
    default: 600_000,
  }),
} as const;
