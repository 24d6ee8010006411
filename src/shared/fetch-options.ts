/** How items are fetched from web servers and object stores: a part of the table in `option-table.ts`, which alone reads it. */
import { isIP, isIPv4 } from "node:net";
import { z } from "zod";
import { type CommandName, flagValue, integer, option, text, texts } from "./option-spec.js";

const working: readonly CommandName[] = ["run", "work", "runs retry"];
/** Also what lists and shards on web servers are read by. */
const asking: readonly CommandName[] = ["run", "enqueue", "work", "plan", "runs retry"];
const longestMs = 3_600_000;

/** An address, or a network as `10.0.0.0/8`. */
function isNetwork(value: string): boolean {
  const [address = "", bits, ...rest] = value.split("/");
  if (isIP(address) === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d+$/.test(bits) && Number(bits) <= (isIPv4(address) ? 32 : 128));
}

const isHost = (value: string) => isNetwork(value) || /^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?$/i.test(value);
const hosts = texts.refine((values) => values.every(isHost));
/** A rate may be below one a second. */
const rate = z
  .union([
    z.number(),
    z
      .string()
      .regex(/^\d+(\.\d+)?$/)
      .transform(Number),
  ])
  .pipe(z.number().min(0.001).max(100_000));

const milliseconds = (flag: string, description: string, fallback: number, commands = asking) =>
  option<number>({
    flag: `--${flag}-ms <ms>`,
    class: "policy",
    commands,
    description,
    expected: `an integer from 100 to ${longestMs}`,
    schema: integer(100, longestMs),
    default: fallback,
  });

export const fetchOptions = {
  allowHost: option<string[]>({
    flag: "--allow-host <host>",
    class: "policy",
    commands: asking,
    description: "fetch from these web servers only, also when redirected (repeatable)",
    expected: "host names, *.names, addresses or networks",
    schema: hosts,
    default: [],
    defaultText: "every host with a public address",
  }),
  denyHost: option<string[]>({
    flag: "--deny-host <host>",
    class: "policy",
    commands: asking,
    description: "never fetch from these web servers, whatever --allow-host says (repeatable)",
    expected: "host names, *.names, addresses or networks",
    schema: hosts,
    default: [],
  }),
  allowPrivate: option<string[]>({
    flag: "--allow-private <network>",
    class: "policy",
    commands: asking,
    description:
      "opens loopback, private and carrier-grade NAT addresses of this network, or of all: whoever writes the list can then read every web service that this machine reaches there; metadata services stay closed (repeatable)",
    expected: "addresses, networks as 10.0.0.0/8, or all",
    schema: texts.refine((values) => values.every((value) => value === "all" || isNetwork(value))),
    default: [],
  }),
  perHost: option<number>({
    flag: "--per-host <n>",
    class: "policy",
    commands: working,
    description: "requests to one web server at once",
    expected: "an integer from 1 to 1024",
    schema: integer(1, 1024),
    default: 6,
  }),
  rate: option<number | null>({
    flag: "--rate <n>",
    class: "policy",
    commands: working,
    description: "requests a second to one web server",
    expected: "a number from 0.001 to 100000",
    schema: rate.nullable(),
    default: null,
    defaultText: "no limit",
  }),
  fetchRetries: option<number>({
    flag: "--fetch-retries <n>",
    class: "policy",
    commands: asking,
    description: "more tries for an item whose web server is busy, silent or breaks off",
    expected: "an integer from 0 to 20",
    schema: integer(0, 20),
    default: 2,
  }),
  connectTimeoutMs: milliseconds(
    "connect-timeout",
    "longest wait for a connection to a web server, TLS included",
    10_000,
  ),
  headersTimeoutMs: milliseconds("headers-timeout", "longest wait for a web server's answer to begin", 30_000),
  idleTimeoutMs: milliseconds("idle-timeout", "longest pause in a web server's answer", 15_000),
  fetchTimeoutMs: milliseconds(
    "fetch-timeout",
    "longest request to a web server, all of its answer included",
    120_000,
    working,
  ),
  header: option<string[]>({
    flag: "--header <host=source>",
    class: "policy",
    commands: asking,
    description:
      "headers for one web server, over https unless HOST is http://HOST, and to its usual port unless it is HOST:PORT, as lines `Name: value` in a variable or a file: HOST=env:NAME, HOST=file:PATH (repeatable)",
    expected: "HOST=env:NAME or HOST=file:PATH",
    schema: texts,
    default: [],
  }),
  respectRobotsTag: option<boolean>({
    flag: "--respect-robots-tag",
    class: "policy",
    commands: working,
    description: "leave images whose answer says noai, noimageai, noindex or none in X-Robots-Tag",
    expected: "true or false",
    schema: flagValue,
    default: false,
  }),
  contact: option<string | null>({
    flag: "--contact <text>",
    class: "policy",
    commands: asking,
    description: "address or page that the user agent names, for servers' operators to complain to",
    expected: "printable ASCII without parentheses",
    schema: text.regex(/^[!-'*-~][ -'*-~]*$/).nullable(),
    default: null,
    defaultText: "none",
  }),
  s3Concurrency: option<number>({
    flag: "--s3-concurrency <n>",
    class: "policy",
    commands: working,
    description: "requests to one object store at once, of AWS to one bucket, in place of --per-host and --rate",
    expected: "an integer from 1 to 1024",
    schema: integer(1, 1024),
    default: 32,
  }),
  fetchConcurrency: option<number>({
    flag: "--fetch-concurrency <n>",
    class: "execution",
    commands: working,
    description: "requests to all web servers and object stores at once",
    expected: "an integer from 1 to 4096",
    schema: integer(1, 4096),
    default: 128,
  }),
} as const;
