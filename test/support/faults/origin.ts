/**
 * A web server on 127.0.0.1 that does everything wrong that a web server can do, one host name a fault; beside it a name
 * server, and a canary on other loopback addresses that counts who connects. Not a proxy: `faults` says what is where.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttp, type RequestListener } from "node:http";
import { createServer as createHttps } from "node:https";
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { projectRoot } from "../shared-data.js";
import { bodyFaults } from "./bodies.js";
import { connectionFaults } from "./connections.js";
import type { Fault, OriginPlaces } from "./fault.js";
import { startNameServer } from "./name-server.js";
import { statusFaults } from "./statuses.js";

export const faults: readonly Fault[] = [...bodyFaults, ...statusFaults, ...connectionFaults];

const tlsDirectory = join(projectRoot, "test/support/faults/tls");
/** The authority that signed the origin's certificates, but for the self-signed one. */
export const authorityPath = join(tlsDirectory, "authority.pem");

export interface FaultOrigin {
  readonly at: OriginPlaces;
  readonly nameServer: string;
  /** Connections that nobody should have made. */
  canaryConnections(): number;
  /** How often a fault was asked. */
  visits(name: string): number;
  close(): Promise<void>;
}

export const uriOf = (fault: Fault, at: OriginPlaces): string =>
  fault.uri?.(at) ?? `http://${fault.name}.localhost:${at.port}/`;

/** Starts all of it; every fault is asked anew. `image` is what sound answers hold. */
export async function startFaultOrigin(image: Buffer): Promise<FaultOrigin> {
  const visits = new Map<string, number>();
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  const listen = async (server: Server, host = "127.0.0.1", port = 0): Promise<number> => {
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      // A client that has had enough is what this is for.
      socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    });
    server.listen(port, host);
    await once(server, "listening");
    servers.push(server);
    return (server.address() as AddressInfo).port;
  };
  let at: OriginPlaces;
  const onRequest: RequestListener = (request, response) => {
    const host = request.headers.host ?? "";
    const name = /^([^.:]+)\.(localhost|test)/.exec(host)?.[1] ?? "image";
    const number = (visits.get(name) ?? 0) + 1;
    visits.set(name, number);
    const serve = faults.find((fault) => fault.name === name)?.serve;
    if (serve === undefined) response.end(image);
    else serve({ request, response, socket: request.socket, image, number, at });
  };
  const port = await listen(createHttp(onRequest));
  const key = readFileSync(join(tlsDirectory, "key.pem"));
  const tls = (name: string) =>
    listen(
      createHttps({ key, cert: readFileSync(join(tlsDirectory, `${name}.pem`)) }, (_, response) => response.end(image)),
    );
  const tlsPorts = {
    good: await tls("good"),
    expired: await tls("expired"),
    "other-name": await tls("other-name"),
    "self-signed": await tls("self-signed"),
  };
  const silentPort = await listen(createTcp(() => {}));
  const unused = createTcp();
  const closedPort = await listen(unused);
  unused.close();
  let canaryConnections = 0;
  const canary = () => createTcp(() => (canaryConnections += 1));
  const canaryPort = await listen(canary(), "127.0.0.2");
  await listen(canary(), "::1", canaryPort).catch(() => {});
  at = { port, tlsPorts, silentPort, closedPort, canaryPort };
  const nameServer = await startNameServer();
  return {
    at,
    nameServer: nameServer.address,
    canaryConnections: () => canaryConnections,
    visits: (name) => visits.get(name) ?? 0,
    async close() {
      nameServer.close();
      for (const socket of sockets) socket.destroy();
      await Promise.all(servers.filter((server) => server.listening).map((server) => once(server.close(), "close")));
    },
  };
}
