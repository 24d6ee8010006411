/** A process whose Redis goes away for good while it holds chunks: told to stop, it must end by itself. Argument: an empty directory. */
import { setTimeout as sleep } from "node:timers/promises";
import { openRedis } from "../../src/shared/redis.js";
import { startTestRedis } from "../support/redis.js";
import { keepLog, startTestConsumer, submitRun } from "../support/run-harness.js";

const server = await startTestRedis();
const redis = await openRedis(server.url);
await submitRun(redis, process.argv[2] ?? "");
let isTaken = false;
const predict = () => {
  isTaken = true;
  return new Promise<never>(() => {});
};
const { lines, log } = keepLog();
const consumer = startTestConsumer(redis, { predict, log });
while (!isTaken) await sleep(10);
await server.close();
await consumer.drain(100);
redis.disconnect();
process.stdout.write(lines.join("\n"));
