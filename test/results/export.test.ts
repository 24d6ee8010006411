import assert from "node:assert/strict";
import { lstat, mkdir, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { type Row, rowColumns } from "../../src/dataset/row.js";
import type { RunIdentity } from "../../src/dataset/run-head.js";
import type { ExportContext, ExportFormat } from "../../src/results/export/exporter.js";
import { exportResults } from "../../src/results/export/open-exporter.js";
import { openResults } from "../../src/results/open.js";
import { LabelmillError } from "../../src/shared/errors.js";
import { failedRow, okRow } from "../dataset/samples.js";
import { useTempDir } from "../support/temp-dir.js";
import { writeRows } from "./samples.js";

describe("results/export", () => {
  const tempDir = useTempDir();
  const at = (name: string) => join(tempDir(), name);
  const text = (name: string) => readFile(at(name), "utf8");

  async function exportRows(
    rows: readonly Row[],
    format: ExportFormat,
    given: Partial<ExportContext & RunIdentity & { to: string; force: boolean }> = {},
  ) {
    const { to = "to", force = false, embedding = "float32", ...context } = given;
    await rm(at("out"), { recursive: true, force: true });
    await writeRows(at("out"), rows, { embedding });
    return exportResults(
      format,
      { to: at(to), force },
      {
        results: await openResults(at("out")),
        columns: (Object.keys(rowColumns) as (keyof Row)[]).filter((name) => name !== "embedding"),
        copy: false,
        imageRoot: "/",
        signal: new AbortController().signal,
        ...context,
      },
    );
  }

  it("writes csv that a csv reader takes apart again, with formulas disarmed", async () => {
    const rows = [
      { ...okRow(0), item_id: '=HYPERLINK("http://x")', label: "a, b" },
      { ...okRow(1), item_id: "-1", uri: "/p/line\nbreak.jpg" },
      failedRow(2),
    ];
    assert.deepEqual((await exportRows(rows, "csv")).rows, 3);
    const [first, second, third] = parse(await text("to"), { columns: true }) as Record<string, string>[];
    assert.equal(first?.item_id, `'=HYPERLINK("http://x")`);
    assert.deepEqual(
      [first?.label, first?.top_labels, first?.score],
      ["a, b", '["tabby","tench"]', "0.7999999999999999"],
    );
    assert.deepEqual([second?.item_id, second?.uri], ["'-1", "/p/line\nbreak.jpg"]);
    assert.deepEqual([third?.label, third?.error_code], ["", "DECODE_CORRUPT"]);
    assert.equal(first?.modified_at, "2023-11-14T22:13:20.123Z");
    assert.ok(!("embedding" in (first ?? {})));
  });

  it("writes the asked-for columns of jsonl, in the order of the dataset", async () => {
    await exportRows([okRow(0)], "jsonl", { columns: ["embedding", "uri"] });
    assert.equal(await text("to"), '{"uri":"/photos/0.jpg","embedding":[0,0.1,0.33333334]}\n');
  });

  it("writes a matrix of the embeddings that are there, and whose they are", async () => {
    const rows = [okRow(0), failedRow(1), okRow(2), okRow(3), okRow(4)];
    const { rows: count, leftOut } = await exportRows(rows, "npy", { to: "m.npy" });
    assert.deepEqual([count, leftOut], [4, { failed: 1 }]);
    const bytes = await readFile(at("m.npy"));
    // Magic, version 1.0, and 118 bytes to follow.
    assert.deepEqual([...bytes.subarray(0, 10)], [0x93, ...Buffer.from("NUMPY"), 1, 0, 118, 0]);
    const header = bytes.subarray(10, 128).toString("latin1");
    assert.match(header, /^\{'descr': '<f4', 'fortran_order': False, 'shape': \(4, 3\), \} +\n$/);
    const floats = new Float32Array(new Uint8Array(bytes.subarray(128)).buffer);
    assert.deepEqual(floats, Float32Array.from([0, 2, 3, 4].flatMap((n) => [n, 0.1, 1 / 3])));
    const ids = parse(await text("m.ids.csv"), { columns: true }) as Record<string, string>[];
    assert.deepEqual(
      ids.map(({ item_index }) => item_index),
      ["0", "2", "3", "4"],
    );
  });

  it("refuses a matrix of a dataset without embeddings, and leaves nothing", async () => {
    await assert.rejects(exportRows([okRow(0)], "npy", { embedding: "none" }), { code: "RESULTS_NO_EMBEDDING" });
    await assert.rejects(exportRows([failedRow(0)], "npy"), { code: "RESULTS_EXPORT" });
    assert.deepEqual(await readdir(tempDir()), ["out"]);
  });

  it("links local images into a folder a class, and says what it left out", async () => {
    await writeFile(at("a.jpg"), "a");
    await writeFile(at("b"), "b");
    const rows = [
      { ...okRow(0), uri: at("a.jpg"), label: "x/y", label_index: 7 },
      { ...okRow(1), uri: at("b"), label: "crane", label_index: 1 },
      { ...okRow(2), uri: at("a.jpg"), label: "crane", label_index: 2 },
      { ...okRow(3), uri: at("gone.jpg") },
      { ...okRow(4), uri: "https://host/a.jpg" },
      failedRow(5),
    ];
    const { rows: count, leftOut } = await exportRows(rows, "imagefolder");
    assert.deepEqual([count, leftOut], [3, { "no longer there": 1, "not a local file": 1, failed: 1 }]);
    const names = (await readdir(at("to"), { recursive: true })).filter((name) => /-/.test(name)).sort();
    assert.deepEqual(names, ["crane_1/00000001-b.jpeg", "crane_2/00000002-a.jpg", "x_y/00000000-a.jpg"]);
    assert.equal(await readlink(at("to/crane_1/00000001-b.jpeg")), at("b"));
    await exportRows(rows, "imagefolder", { to: "copies", copy: true });
    assert.ok((await lstat(at("copies/crane_1/00000001-b.jpeg"))).isFile());
  });

  it("makes folders and names of labels and files that are as long as they like, or look like each other", async () => {
    await writeFile(at("a.jpg"), "a");
    await writeFile(at(`a.${"b".repeat(200)}`), "b");
    const labels = ["x", "x", "x_1", "y".repeat(400)];
    const rows = labels.map((label, i) => ({ ...okRow(i), uri: at("a.jpg"), label, label_index: i }));
    const long = { ...okRow(4), uri: at(`a.${"b".repeat(200)}`), label: "x_1", label_index: 2 };
    await exportRows([...rows, long], "imagefolder");
    const folders = (await readdir(at("to"))).sort();
    assert.deepEqual(folders, ["x_0", "x_1", "x_1_1", "y".repeat(220)]);
    assert.equal((await readdir(at("to/x_1"))).length, 2);
  });

  it("writes Label Studio tasks with one choice each, and the configuration that has the choices", async () => {
    const rows = [
      { ...okRow(0), label: "a<b" },
      { ...okRow(1), uri: "https://host/a.jpg" },
      { ...okRow(2), uri: "/elsewhere/a.jpg" },
    ];
    const { leftOut } = await exportRows(rows, "label-studio", { to: "t.json", imageRoot: "/photos" });
    assert.deepEqual(leftOut, { "not below --image-root": 1 });
    const tasks = JSON.parse(await text("t.json"));
    assert.deepEqual(
      tasks.map(({ data }: { data: { image: string } }) => data.image),
      ["/data/local-files/?d=0.jpg", "https://host/a.jpg"],
    );
    assert.deepEqual(tasks[1].predictions, [
      {
        model_version: "resnet50@aaaaaaaaaaaa",
        score: 0.1 + 0.7,
        result: [{ from_name: "label", to_name: "image", type: "choices", value: { choices: ["tench"] } }],
      },
    ]);
    assert.match(await text("t.xml"), /<Choice value="tench"\/>/);
  });

  it("writes COCO with a box round each whole image", async () => {
    await exportRows([okRow(0), failedRow(1), okRow(2)], "coco");
    const { images, annotations, categories } = JSON.parse(await text("to"));
    assert.deepEqual(images[1], { id: 3, file_name: "photos/2.jpg", width: 640, height: 480 });
    assert.deepEqual(annotations[1], {
      id: 3,
      image_id: 3,
      category_id: 282,
      bbox: [0, 0, 640, 480],
      area: 307_200,
      iscrowd: 0,
      segmentation: [],
      score: 0.1 + 0.7,
    });
    assert.deepEqual(categories, [{ id: 282, name: "tabby", supercategory: "" }]);
  });

  it("replaces nothing unless it is told to, and never a directory", async () => {
    await writeFile(at("to"), "mine");
    await assert.rejects(exportRows([okRow(0)], "csv"), { code: "RESULTS_EXISTS" });
    assert.equal(await text("to"), "mine");
    await exportRows([okRow(0)], "csv", { force: true });
    assert.match(await text("to"), /^run_id,/);
    // Named as an export of images is.
    await mkdir(at("photos/holiday"), { recursive: true });
    await writeFile(at("photos/holiday/20240101-120000.jpg"), "mine");
    const onto = exportRows([okRow(0)], "imagefolder", { to: "photos", force: true });
    await assert.rejects(onto, { code: "RESULTS_EXISTS", message: /a directory is never replaced/ });
    assert.equal(await text("photos/holiday/20240101-120000.jpg"), "mine");
  });

  it("leaves nothing where it is interrupted", async () => {
    const interrupt = new AbortController();
    interrupt.abort(new LabelmillError("RUN_INTERRUPTED"));
    for (const format of ["csv", "npy", "imagefolder", "coco"] as const) {
      const exporting = exportRows([okRow(0)], format, { signal: interrupt.signal });
      await assert.rejects(exporting, { code: "RUN_INTERRUPTED" });
    }
    assert.deepEqual(await readdir(tempDir()), ["out"]);
  });
});
