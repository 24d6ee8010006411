"""ONNX Runtime in Python: Pillow in a pool of threads, the next batches decoded while the session runs."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy
import onnxruntime
import PIL
import PIL.Image
from peer import main

versions = {"onnxruntime": onnxruntime.__version__, "pillow": PIL.__version__, "numpy": numpy.__version__}
mean = numpy.array([0.485, 0.456, 0.406], numpy.float32)
deviation = numpy.array([0.229, 0.224, 0.225], numpy.float32)


def configurations(threads):
    return [{"decoders": decoders, "batch": batch} for decoders in sorted({1, threads}) for batch in (1, 8, 32)]


def decode(path):
    with PIL.Image.open(path) as image:
        image = image.convert("RGB")
        scale = 256 / min(image.size)
        width, height = (max(256, round(side * scale)) for side in image.size)
        image = image.resize((width, height), PIL.Image.Resampling.BILINEAR)
        left, top = (width - 224) // 2, (height - 224) // 2
        pixels = numpy.asarray(image.crop((left, top, left + 224, top + 224)), numpy.float32) / 255
    return ((pixels - mean) / deviation).transpose(2, 0, 1)


def open_model(args, decoders, batch):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(f"{args.model}/transformers/onnx/model.onnx", options)

    def predict(paths):
        logits, embeddings = [], []
        with ThreadPoolExecutor(decoders) as pool:
            # `map` would start every decode at once, and hold all pixels.
            ahead = deque(pool.submit(decode, path) for path in paths[: 2 * batch])
            following = iter(paths[2 * batch :])
            while ahead:
                images = []
                while ahead and len(images) < batch:
                    images.append(ahead.popleft().result())
                    path = next(following, None)
                    if path is not None:
                        ahead.append(pool.submit(decode, path))
                some_logits, some_embeddings = session.run(None, {"pixel_values": numpy.stack(images)})
                logits.append(some_logits)
                embeddings.append(some_embeddings)
        return numpy.concatenate(logits), numpy.concatenate(embeddings)

    return predict


if __name__ == "__main__":
    main(configurations, versions, open_model)
