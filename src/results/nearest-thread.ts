/** Entry of a thread that searches some of the parts; `nearest-threads` starts it with `workerData`. */
import { parentPort, workerData } from "node:worker_threads";
import { openStorage } from "../dataset/storage/open-storage.js";
import { LabelmillError } from "../shared/errors.js";
import { findNearest } from "./nearest.js";
import type { NearestAnswer, NearestTask } from "./nearest-threads.js";

const { location, store, searched, query } = workerData as NearestTask;

function post(answer: NearestAnswer): void {
  parentPort?.postMessage(answer);
}

try {
  post({ neighbours: await findNearest(openStorage(location, store), searched, query) });
} catch (error) {
  // An error of another class ends the thread, and with it the search.
  if (!(error instanceof LabelmillError)) throw error;
  post({ code: error.code, message: error.message });
}
