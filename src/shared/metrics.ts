/**
 * What labelmill tells Prometheus: the one table of figures, and the port that their owners fill. Owners keep plain numbers
 * and are asked when somebody scrapes; nobody counts into a registry, so a figure costs an addition. Labels have few values
 * by construction: codes, stages, states, and ids of runs under way, never a uri, a host or a path.
 * `docs/operations.md` has the table too; a test compares the two.
 */

export interface MetricSpec {
  readonly type: "counter" | "gauge";
  readonly help: string;
  readonly labels: readonly string[];
}

const counter = (help: string, ...labels: string[]): MetricSpec => ({ type: "counter", help, labels });
const gauge = (help: string, ...labels: string[]): MetricSpec => ({ type: "gauge", help, labels });

/** Of a worker: each has its own. */
const workerMetrics = {
  labelmill_rows_total: counter(
    "rows of parts that this worker committed; the code is empty where ok",
    "status",
    "code",
  ),
  labelmill_chunks_total: counter(
    "chunks that left this worker's hands: done, found done, given_back, lost to another worker, refused",
    "outcome",
  ),
  labelmill_chunks_in_hand: gauge("chunks that this worker holds the locks of"),
  labelmill_stage_seconds_total: counter(
    "busy time of fetch, decode, inference, commit, summed over all at once",
    "stage",
  ),
  labelmill_stage_slots: gauge(
    "how many of a stage may run at once: its busy time grows by so many seconds a second",
    "stage",
  ),
  labelmill_batches_total: counter("calls of the model"),
  labelmill_batch_images_total: counter("images in calls of the model"),
  labelmill_batch_size: gauge("most images in one call of the model"),
  labelmill_engine_info: gauge("always 1; what executes the model", "engine", "device", "model", "precision"),
  labelmill_compute_restarts_total: counter("compute processes that ended and were replaced"),
  labelmill_compute_resident_bytes: gauge("memory of the compute processes"),
  labelmill_lock_renewal_failures_total: counter("renewals of a chunk's lock that Redis did not grant"),
  labelmill_step_age_seconds: gauge(
    "since the last step of the work in hand; of an idle worker, since it last looked for work",
  ),
  labelmill_waiting: gauge("1 while the worker waits for storage, or for a Redis that is away or refuses, else 0"),
} as const satisfies Record<string, MetricSpec>;

/** Of a Redis: the same from every process that is asked, so take `max`, never `sum`. */
const queueMetrics = {
  labelmill_redis_up: gauge("1 where Redis answered within 2 s; else 0, and the figures below are absent"),
  labelmill_redis_memory_bytes: gauge("memory that Redis uses"),
  labelmill_redis_memory_limit_bytes: gauge("its maxmemory; 0 for none"),
  labelmill_queue_chunks: gauge(
    "chunks that wait or are in hand, of all runs that are not paused: what workers are scaled by",
  ),
  labelmill_runs: gauge("runs under way", "state"),
  labelmill_run_items: gauge("items pinned", "run"),
  labelmill_run_rows: gauge("rows counted", "run", "status"),
  labelmill_run_failures: gauge("failed rows counted", "run", "code"),
  labelmill_run_chunks: gauge("chunks: waiting, in_hand, done; pinned is all of the list so far", "run", "state"),
  labelmill_run_state: gauge("1 for the state that the run is in", "run", "state"),
} as const satisfies Record<string, MetricSpec>;

/** Of every process that serves any. */
const buildMetrics = {
  labelmill_build_info: gauge("always 1", "version"),
} as const satisfies Record<string, MetricSpec>;

export const metricTable = { ...buildMetrics, ...workerMetrics, ...queueMetrics } as const;
export type MetricName = keyof typeof metricTable;

/** One figure, now. Every label of the table has a value. */
export interface Sample {
  readonly name: MetricName;
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Asked at each scrape. Must answer soon, whatever fails. */
export type MetricSource = () => readonly Sample[] | Promise<readonly Sample[]>;
