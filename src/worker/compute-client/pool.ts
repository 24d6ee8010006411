import type { ComputeClient } from "./client.js";

/**
 * Several children as one: an image goes to the child with the fewest images under way. Each child keeps its own restarts
 * and finds its own culprits; where one cannot work at all, what it has rejects, as with a single child. There must be one
 * client at least; closing the pool closes them all.
 */
export function poolClients(clients: readonly ComputeClient[]): ComputeClient {
  const [first] = clients;
  if (first === undefined) throw new Error("Expected a pool to have a client");
  const members = clients.map((client) => ({ client, underWay: 0 }));
  return {
    report: { ...first.report, batchSize: Math.max(...clients.map(({ report }) => report.batchSize)) },
    get pids() {
      return clients.flatMap(({ pids }) => pids);
    },
    async predict(bytes, topK) {
      const member = members.reduce((least, each) => (each.underWay < least.underWay ? each : least));
      member.underWay += 1;
      try {
        return await member.client.predict(bytes, topK);
      } finally {
        member.underWay -= 1;
      }
    },
    times() {
      return clients
        .map((client) => client.times())
        .reduce((sum, times) => ({
          decodeMs: sum.decodeMs + times.decodeMs,
          inferMs: sum.inferMs + times.inferMs,
          batches: sum.batches + times.batches,
          images: sum.images + times.images,
          restarts: sum.restarts + times.restarts,
        }));
    },
    async close() {
      await Promise.all(clients.map((client) => client.close()));
    },
  };
}
