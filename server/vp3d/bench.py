"""How fast a capture is on this computer, stage by stage, and how much memory it needs.

Every measurement runs in a process of its own with an empty cache, so nothing is remembered and the peak memory is that
of one capture. The clip repeated many times shows whether memory grows with length.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import av
from rich.table import Column, Table

from vp3d.errors import UserError
from vp3d.files import written_whole
from vp3d.media import VideoInfo, probe
from vp3d.models import FOLDERS_VARIABLE
from vp3d.paths import HOME_VARIABLE, models_folder


@dataclass(frozen=True)
class Run:
    """One measured capture.

    Attributes:
        detector: the one that ran.
        frames: how many it processed.
        seconds: wall time of the whole capture, without imports and without opening the detector.
        stages: wall time (s) by stage.
        peak_bytes: largest resident memory of the process.
    """

    detector: str
    frames: int
    seconds: float
    stages: dict[str, float]
    peak_bytes: int


@dataclass(frozen=True)
class Benchmark:
    """A clip measured once, and repeated `loops` times if that is more than 1."""

    info: VideoInfo
    detail: str
    loops: int
    runs: tuple[Run, ...]

    def __rich__(self) -> Table:
        """A table for the command line."""
        clip = f"{self.info.path.name}, {self.info.width} × {self.info.height} px"
        titles = ["once", f"{self.loops} times"][: len(self.runs)]
        table = Table(
            "",
            *(
                Column(f"{title}, {run.frames} frames", justify="right")
                for title, run in zip(titles, self.runs, strict=True)
            ),
            title=f"{clip}, {self.runs[0].detector}, detail {self.detail}, {os.cpu_count()} CPU cores",
        )
        for stage in self.runs[0].stages:
            table.add_row(stage, *(_speed(run.frames, run.stages.get(stage, 0)) for run in self.runs))
        table.add_row("whole capture", *(_speed(run.frames, run.seconds) for run in self.runs), style="bold")
        table.add_row("peak memory", *(f"{run.peak_bytes / 1e9:.2f} GB" for run in self.runs), style="bold")
        return table


def _speed(frames: int, seconds: float) -> str:
    return f"{frames / seconds:.1f} frames/s ({seconds:.1f} s)" if seconds else "–"


def bench(video: Path, detail: str = "normal", detector: str = "auto", loops: int = 10) -> Benchmark:
    """Measure a capture of everybody in a clip, and of the clip repeated.

    Args:
        video: a video file.
        detail: as for a capture.
        detector: as for a capture.
        loops: how often to repeat the clip for the second measurement; below 2 leaves it out.

    Raises:
        UserError: the clip cannot be captured.
    """
    video = Path(video).resolve()
    info = probe(video)
    options = {"people": "all", "detail": detail, "detector": detector}
    with tempfile.TemporaryDirectory() as folder:
        runs = [_measured(video, options, Path(folder) / "once")]
        if loops > 1:
            looped = Path(folder) / f"looped{video.suffix}"
            loop_video(video, looped, loops)
            runs.append(_measured(looped, options, Path(folder) / "looped"))
    return Benchmark(info, detail, loops, tuple(runs))


def loop_video(video: Path, out: Path, times: int) -> None:
    """Write a video that shows another one `times` times, without encoding anew; sound is left out.

    Raises:
        UserError: the file is not a video, or `out` cannot be written.
    """
    info = probe(video)
    with av.open(str(video)) as source:
        names = source.format.name.split(",")  # one reader, as for MP4 and MOV, may stand for several writers
    suffix = video.suffix.lower().lstrip(".")
    form = suffix if suffix in names else names[0]
    with written_whole(out) as partial, av.open(str(partial), "w", format=form) as target:
        stream = None
        for turn in range(times):
            with av.open(str(video)) as source:
                original = source.streams.video[0]
                stream = stream or target.add_stream_from_template(original)
                shift = int(turn * info.frame_count / info.fps / original.time_base)
                for packet in source.demux(original):
                    if packet.dts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    target.mux(packet)


def _measured(video: Path, options: dict[str, str], home: Path) -> Run:
    """A `Run` of a fresh process that finds the same weights, but no cache."""
    folders = [os.environ.get(FOLDERS_VARIABLE, ""), str(models_folder())]
    environment = {
        **os.environ,
        HOME_VARIABLE: str(home),
        FOLDERS_VARIABLE: os.pathsep.join(filter(None, folders)),
    }
    process = subprocess.run(
        [sys.executable, "-m", "vp3d.bench", str(video), json.dumps(options)],
        cwd=Path(__file__).parent.parent,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = process.stdout.splitlines()
    if process.returncode or not lines:
        raise UserError(f"The measurement ended with status {process.returncode}.", "What it said stands above.")
    answer = json.loads(lines[-1])
    if "error" in answer:
        raise UserError(*answer["error"])
    return Run(**answer)


def _capture(video: Path, options: dict[str, str]) -> Run:
    from vp3d import detect, pipeline

    # What happens once per computer, such as compiling the network, is not part of the speed.
    detect.open_detector(options["detector"], options["detail"]).close()
    begin = time.perf_counter()
    take = pipeline.capture(video, pipeline.Options(**options))
    seconds = time.perf_counter() - begin
    stages = {name: timing["seconds"] for name, timing in take.report["timings"].items()}
    return Run(take.report["detector"]["name"], len(take.frames), seconds, stages, peak_memory())


def peak_memory() -> int:
    """Largest resident memory (bytes) that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's memory before exec
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return _peak_memory_windows()
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def _peak_memory_windows() -> int:
    import ctypes
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS."""

        _fields_ = (
            ("size", wintypes.DWORD),
            ("page_faults", wintypes.DWORD),
            ("peak_working_set", ctypes.c_size_t),
            ("others", ctypes.c_size_t * 7),
        )

    counters = Counters(size=ctypes.sizeof(Counters))
    kernel = ctypes.WinDLL("kernel32")
    kernel.GetCurrentProcess.restype = wintypes.HANDLE
    kernel.K32GetProcessMemoryInfo.argtypes = (wintypes.HANDLE, ctypes.POINTER(Counters), wintypes.DWORD)
    kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.size)
    return counters.peak_working_set


def _main() -> None:
    """The measuring process: a video and options in, one line of JSON out."""
    try:
        answer = vars(_capture(Path(sys.argv[1]), json.loads(sys.argv[2])))
    except UserError as error:
        answer = {"error": [error.message, error.hint]}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    _main()
