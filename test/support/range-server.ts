import { createReadStream, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";

/** A web server of the files in `directory` that knows ranges, as every common one does. */
export function createRangeServer(directory: string): Server {
  return createServer(({ url = "", headers }, response) => {
    const path = join(directory, new URL(url, "http://h").pathname);
    const { size } = statSync(path);
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "") ?? [];
    if (first === undefined) {
      response.writeHead(200, { "content-length": size });
      createReadStream(path).pipe(response);
      return;
    }
    const start = Number(first);
    const end = Math.min(size - 1, last ? Number(last) : size - 1);
    if (start > end) {
      response.writeHead(416, { "content-range": `bytes */${size}` }).end();
      return;
    }
    const range = { "content-range": `bytes ${start}-${end}/${size}`, "content-length": end - start + 1 };
    response.writeHead(206, range);
    createReadStream(path, { start, end })
      .on("error", () => {})
      .pipe(response);
  });
}
