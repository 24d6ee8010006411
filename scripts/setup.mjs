/**
 * Brings a fresh clone to the point where `dist/` runs: dependencies, a Redis server's program, a build, the weights. Each
 * part looks first and does only what is missing, so that a second call takes about a second. Called by quickstart.mjs
 * and test.mjs; `node scripts/setup.mjs` builds only.
 */
import { accessSync, constants, existsSync, readFileSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { build } from "./build.mjs";
import { execute, root, StepError, step } from "./step.mjs";

/** Everything up to and with the weights of the default model in the user's cache. */
export async function setup() {
  checkNode();
  await step("dependencies", ensureDependencies);
  await step("redis", ensureRedis);
  await step("build", build);
  await step("weights", ensureWeights);
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new StepError(`Expected Node.js 20.19 or newer, got ${process.versions.node}; see https://nodejs.org.`);
  }
}

/** Installs exactly the lock. What is installed is read from npm's own record of it, not from a stamp of ours. */
async function ensureDependencies() {
  if (isInstalled()) return "up to date";
  console.error("[dependencies] installing with npm ci; the first time this takes a minute or two");
  const { status } = await execute("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { stdout: 2 });
  if (status !== 0) throw new StepError("npm ci failed, see its message above; nothing else was tried.");
  return "installed";
}

/** Optional packages are for some platforms only, so they may be absent, but not of another version. */
function isInstalled() {
  const record = join(root, "node_modules/.package-lock.json");
  if (!existsSync(record)) return false;
  const installed = JSON.parse(readFileSync(record, "utf8")).packages;
  const wanted = Object.entries(JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages);
  return wanted.every(([path, { version, optional, peer }]) => {
    const isRequired = path !== "" && !optional && !peer;
    return path === "" || (installed[path] === undefined ? !isRequired : installed[path].version === version);
  });
}

/** A run starts its own private server, which needs the program only, never a service. */
async function ensureRedis() {
  const present = findServer();
  if (present !== undefined) return present;
  const prefix = await rootPrefix();
  if (prefix === undefined || findProgram("apt-get") === undefined) {
    throw new StepError(
      "Found neither redis-server nor valkey-server on PATH, and cannot install one without root; run: sudo apt-get install redis-server",
    );
  }
  console.error("[redis] installing redis-server with apt-get");
  // Debian's package starts a service and enables it at boot; in run level 1 its start script does not, systemd is told after.
  const apt = [...prefix, "env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"];
  await mustSucceed([...apt, "update"]);
  await mustSucceed([...apt, "install", "-y", "--no-install-recommends", "redis-server"]);
  if (findProgram("systemctl") !== undefined) {
    const now = existsSync("/run/systemd/system") ? ["--now"] : [];
    await mustSucceed([...prefix, "systemctl", "disable", "--quiet", ...now, "redis-server"]);
  }
  const installed = findServer();
  if (installed === undefined)
    throw new StepError("apt-get installed redis-server, but it is not on PATH; add its directory to PATH.");
  return `installed ${installed}`;
}

/** The words that make a command run as root: none for root, sudo where it asks for no password, else undefined. */
async function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  if (findProgram("sudo") === undefined) return undefined;
  const { status } = await execute("sudo", ["-n", "true"], { stdout: "pipe" });
  return status === 0 ? ["sudo", "-n"] : undefined;
}

/** @param {readonly string[]} command */
async function mustSucceed([program = "", ...args]) {
  const { status } = await execute(program, args, { stdout: 2 });
  if (status === 0) return;
  throw new StepError(
    `Could not install redis-server: \`${[program, ...args].join(" ")}\` failed; install redis-server or valkey-server and run this again.`,
  );
}

const findServer = () => findProgram("redis-server") ?? findProgram("valkey-server");

/** @param {string} name */
function findProgram(name) {
  const places = (process.env.PATH ?? "").split(delimiter).map((directory) => join(directory, name));
  return places.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return statSync(path).isFile();
    } catch {
      return false;
    }
  });
}

async function ensureWeights() {
  const { status } = await execute("node", ["dist/src/cli/main.js", "models", "pull", "resnet50"], { stdout: 2 });
  if (status !== 0) throw new StepError("The weights could not be fetched, see the message above.", status);
  return "resnet50 is in the cache";
}
