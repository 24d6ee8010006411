"""Writes test/fixtures/tables: small Parquet files and Zstandard streams as real writers make them. Run as
`python bench/parity/make_table_fixtures.py` where pyarrow (26.0.1) and zstandard (0.25.0) are installed; the tests read
what it wrote and need neither."""

import datetime
import decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

OUT = Path(__file__).parents[2] / "test/fixtures/tables"
ROWS = 300


def table():
    n = range(ROWS)
    return pa.table(
        {
            "uri": pa.array([f"photos/{i:04}.jpg" for i in n]),
            "id": pa.array([f"id-{i}" for i in n]),
            "label": pa.array([None if i % 7 == 0 else ["cat", "dog", "é"][i % 3] for i in n]),
            "size": pa.array([2**60 + i for i in n], pa.int64()),
            "score": pa.array([i / 4 for i in n], pa.float64()),
            "flag": pa.array([i % 2 == 0 for i in n]),
            "seen": pa.array([datetime.datetime(2026, 1, 2, 3, 4, i % 60) for i in n], pa.timestamp("us")),
            "blob": pa.array([bytes([0xFF, i % 256]) if i % 2 else b"text" for i in n], pa.binary()),
            "price": pa.array([decimal.Decimal(i).scaleb(-2) for i in n], pa.decimal128(9, 2)),
            "tags": pa.array([["a", "b"]] * ROWS, pa.list_(pa.string())),
        }
    )


def write(name, **options):
    options = {"row_group_size": 128, "data_page_size": 512, "write_batch_size": 16, **options}
    pq.write_table(table(), OUT / f"{name}.parquet", **options)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for codec in ["none", "snappy", "gzip", "brotli", "lz4", "zstd"]:
        write(codec, compression=codec)
    write("v2-snappy", compression="snappy", data_page_version="2.0")
    write("v2-zstd-plain", compression="zstd", data_page_version="2.0", use_dictionary=False)
    write("plain", compression="none", use_dictionary=False)
    write("one-page", compression="snappy", row_group_size=10**6, data_page_size=2**20, write_batch_size=1024)
    write("delta-length", compression="none", use_dictionary=False, column_encoding={"uri": "DELTA_LENGTH_BYTE_ARRAY"})
    write("delta", compression="none", use_dictionary=False, column_encoding={"uri": "DELTA_BYTE_ARRAY"})
    pq.write_table(table().slice(0, 0), OUT / "empty.parquet")

    lines = "".join(f"/photos/{i:06}.jpg\n" for i in range(20_000)).encode()
    frames = [
        zstandard.ZstdCompressor(level=3, write_checksum=True).compress(lines[:200_000]),
        b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc",
        zstandard.ZstdCompressor(level=19, write_content_size=False).compress(lines[200_000:]),
    ]
    (OUT / "list.txt.zst").write_bytes(b"".join(frames))
    wide = zstandard.ZstdCompressionParameters.from_level(1, window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    (OUT / "wide-window.txt.zst").write_bytes(compressor.compress(b"/a.jpg\n" * 10) + compressor.flush())


if __name__ == "__main__":
    main()
