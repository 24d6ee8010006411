"""What every Python peer shares: its arguments, the files in order, the same columns as Parquet, one JSON line as the result.

A peer is a module with `configurations` (a list of dicts, what its users would try), `versions` (a dict) and
`open_model(args, **configuration)`, which returns a function from a list of paths to (logits, embeddings) as numpy arrays.
Its clock starts when the model is loaded and has run once, and stops when the Parquet file is written.
"""

import argparse
import json
import os
import time

import numpy
import pyarrow
import pyarrow.parquet

TOP = 5


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", required=True, help="directory of images")
    parser.add_argument("--model", required=True, help="what make_models.py wrote")
    parser.add_argument("--out", required=True, help="Parquet file to write")
    parser.add_argument("--configuration", help="JSON; without it, each is tried on the first images and the best is printed")
    parser.add_argument("--packages", help="of no meaning in Python")
    parser.add_argument("--images", type=int, default=0, help="take the first so many")
    args = parser.parse_args()
    args.threads = len(os.sched_getaffinity(0))
    names = sorted(name for name in os.listdir(args.photos) if name.lower().endswith((".jpg", ".jpeg", ".png")))
    args.paths = [os.path.join(args.photos, name) for name in names][: args.images or None]
    return args


def write_rows(out, paths, logits, embeddings):
    """One row an image: uri, first label, its score, the top classes and their scores, the embedding."""
    exponentials = numpy.exp(logits - logits.max(axis=1, keepdims=True))
    scores = exponentials / exponentials.sum(axis=1, keepdims=True)
    order = numpy.argsort(-scores, axis=1)[:, :TOP]
    top = numpy.take_along_axis(scores, order, axis=1)
    width = embeddings.shape[1]
    vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(embeddings.reshape(-1)), width)
    table = pyarrow.table(
        {
            "uri": paths,
            "label_index": order[:, 0],
            "score": top[:, 0],
            "top_indices": list(order),
            "top_scores": list(top),
            "embedding": vectors,
        }
    )
    pyarrow.parquet.write_table(table, out, compression="zstd", use_dictionary=False)


def measure(predict, args, paths):
    started = time.perf_counter()
    logits, embeddings = predict(paths)
    assert logits.shape[0] == len(paths), f"{logits.shape[0]} predictions of {len(paths)} images"
    write_rows(args.out, paths, logits, embeddings)
    return len(paths) / (time.perf_counter() - started)


def main(configurations, versions, open_model):
    args = arguments()
    if args.configuration is not None:
        predict = open_model(args, **json.loads(args.configuration))
        predict(args.paths[:1])
        print(json.dumps({"imagesPerSecond": measure(predict, args, args.paths), "versions": versions}))
        return
    trial = args.paths[:64]
    tried = []
    for configuration in configurations(args.threads):
        predict = open_model(args, **configuration)
        predict(trial[:1])
        tried.append((measure(predict, args, trial), configuration))
    print(json.dumps({"configuration": max(tried, key=lambda each: each[0])[1], "versions": versions}))
