/**
 * Loaded before the command (`--import`): its resolvers ask the name server at TEST_NAME_SERVER and no other, so that no test
 * sends a query anywhere else.
 */
import { promises } from "node:dns";
import { syncBuiltinESMExports } from "node:module";

const server = process.env.TEST_NAME_SERVER ?? "";
const { Resolver } = promises;
const { resolve4, resolve6 } = Resolver.prototype;
/** A resolver's servers cannot be set while it has queries under way. */
const directed = new WeakSet<InstanceType<typeof Resolver>>();

function direct(resolver: InstanceType<typeof Resolver>): void {
  if (!directed.has(resolver)) resolver.setServers([server]);
  directed.add(resolver);
}

Resolver.prototype.resolve4 = function (this: InstanceType<typeof Resolver>, hostname: string) {
  direct(this);
  return resolve4.call(this, hostname, { ttl: false });
} as typeof resolve4;
Resolver.prototype.resolve6 = function (this: InstanceType<typeof Resolver>, hostname: string) {
  direct(this);
  return resolve6.call(this, hostname, { ttl: false });
} as typeof resolve6;
promises.lookup = (async (hostname: string) => {
  throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: "ENOTFOUND" });
}) as unknown as typeof promises.lookup;
syncBuiltinESMExports();
