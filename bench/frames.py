"""Ten frames of a 10-second 1080p clip: fasgen's sampling beside a bare decoder loop that stops at the last needed frame.

The loop knows beforehand which frames it wants, on one thread as fasgen has it. fasgen decodes to the end, since the number of
frames is known only then, and says that it got the same pictures. The clip is encoded on the spot by ffmpeg (H.264, 30 frames
a second, 8 Mbit/s of moving shapes and noise); without the package imageio-ffmpeg, by OpenCV (MPEG-4).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np

from bench.harness import Row, compare, table

SECONDS, RATE, ROUNDS = 10, 30, 5
AIM = 1 / 1.3


def make_clip(path: Path) -> str:
    """Write the clip; the name of its encoding."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError:
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), RATE, (1920, 1080))
        rng = np.random.default_rng(0)
        still = rng.integers(0, 256, (1080, 1920 + SECONDS * RATE * 4, 3), np.uint8)
        smooth = cv2.GaussianBlur(still, (0, 0), 3)
        for index in range(SECONDS * RATE):
            writer.write(np.ascontiguousarray(smooth[:, 4 * index : 4 * index + 1920]))
        writer.release()
        return "MPEG-4"
    source = f"testsrc2=size=1920x1080:rate={RATE}:duration={SECONDS},noise=alls=8:allf=t"
    options = ["-c:v", "libx264", "-preset", "veryfast", "-b:v", "8M", "-pix_fmt", "yuv420p", "-threads", "1"]
    command = [get_ffmpeg_exe(), "-v", "error", "-y", "-f", "lavfi", "-i", source, *options, str(path)]
    subprocess.run(command, check=True, timeout=300)
    return "H.264"


def run() -> list[Row]:
    """Uniform frames of the whole clip, and one early frame, each beside its bare loop."""
    from fasgen.sources.decode import Decoder
    from fasgen.sources.rows import SourceRow
    from fasgen.sources.sampling import Sampling

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    rows: list[Row] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            codec = make_clip(Path(folder) / "clip.mp4")
            for sampling, what in ((Sampling(), "10 frames"), (Sampling(policy="index", start=30), "frame 30")):
                wanted = [index for index in sampling.indices(SECONDS * RATE) if index is not None]

                def ours(sampling: Sampling = sampling) -> list[np.ndarray]:
                    decoder = Decoder(Path(folder), sampling=sampling)
                    n = sampling.rows
                    planned = [
                        SourceRow(
                            "0" * 16, "d", "clip.mp4", 1, "video", k, n, None, "live", None, None, "d|?|live", None, "none"
                        )
                        for k in range(n)
                    ]
                    return [decoder.read(row)[0] for row in planned]

                def bare(wanted: list[int] = wanted) -> list[np.ndarray]:
                    capture = cv2.VideoCapture(str(Path(folder) / "clip.mp4"), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
                    found = []
                    for index in range(wanted[-1] + 1):
                        capture.grab()
                        if index in wanted:
                            found.append(capture.retrieve()[1])
                    capture.release()
                    return found

                same = all(np.array_equal(a[..., ::-1], b) for a, b in zip(ours(), bare(), strict=True))
                if not same:
                    raise RuntimeError("fasgen and the bare loop gave different pictures: the figures would mean nothing")
                peer = f"OpenCV {cv2.__version__} loop (same pictures)"
                aim = AIM if sampling.policy == "uniform" else None
                name = f"{what} of {SECONDS} s of 1080p {codec}"
                rows += compare(name, ours, [(peer, bare, aim)], unit="s a clip", rounds=ROUNDS)
    finally:
        cv2.setNumThreads(threads)
    return rows


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(table(run()))
