/** Entry of a process that starts a compute child, says its pid, and then does nothing: to be killed. Argument: its settings. */
import type { ComputeSettings } from "../../../src/worker/compute/protocol.js";
import { startCompute } from "../../../src/worker/compute-client/start.js";

const client = await startCompute(JSON.parse(process.argv[2] ?? "") as ComputeSettings);
process.send?.(client.pids[0]);
