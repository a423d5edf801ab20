# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Times what this package computes on a GPU, beside the peers that are installed.

For every case, in microseconds: `kernels`, the GPU's own time for the recorded work, many in a
row; `replay`, from event to event around one replay; `call`, one call of the Python function on
arrays of CuPy; `message`, from the bytes of a message to the bytes of one, copies included;
`peers`, one call of each from event to event. Inputs are on the device for all but `message`.
Warm: the same input every time. Cold: inputs, results and scratch memory take turns, beyond the L2
cache. The floor is the time that a copy of as many bytes takes, measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import bench  # noqa: E402
import bench_gpu_cases  # noqa: E402
import bench_gpu_peers  # noqa: E402
import numpy as np  # noqa: E402

from robocache_ros import __version__  # noqa: E402
from robocache_ros.backends.cuda.cuda_backend import CudaBackend  # noqa: E402
from robocache_ros.backends.cuda.cupy_device import CupyDevice  # noqa: E402
from robocache_ros.backends.cuda.device import Limits  # noqa: E402
from robocache_ros.backends.cuda.staging import Staging  # noqa: E402
from robocache_ros.backends.numpy_backend import NumpyBackend  # noqa: E402

FOLDER = ROOT / 'docs' / 'benchmarks'
LIMITS = Limits(max_points=2_000_000, max_voxels=1_000_000, deadline_sec=10.0)
ROUNDS = 50  # of everything that is timed
IN_A_ROW = 20  # executions in one recorded graph, at least, so that launching one costs nothing
COPY_BYTES = 2**30
MOST_IN_TURN = 32


def main() -> None:
    """Run the cases; print a table, and write it beside the results."""
    arguments = parse_arguments()
    import cupy

    cupy.cuda.Device(arguments.device_id).use()  # where peers and events are
    watch = Stopwatch(cupy, arguments.rounds)
    device = Recorder(CupyDevice(arguments.device_id))
    torch = torch_with_gpu(arguments.device_id)
    about = machine(cupy, torch, arguments.device_id)
    about['copy_bytes_per_us'] = round(copy_rate(watch), 1)
    print(json.dumps(about, indent=1))
    plain = bench_gpu_peers.plain_kernels(cupy)
    rows = []
    for case in bench_gpu_cases.all_cases(arguments.points, arguments.only):
        rows.append(measure(case, watch, device, cupy, plain, torch, about))
        print(table_row(rows[-1]), flush=True)
    if not rows:
        raise SystemExit(f"no case has '{arguments.only}' in its name")
    if arguments.only:
        print('only some of the cases: nothing written')
        return
    name = re.sub('[^a-z0-9]+', '-', about['device'].lower()).strip('-')
    arguments.folder.mkdir(parents=True, exist_ok=True)
    report = json.dumps({'machine': about, 'results': rows}, indent=1) + '\n'
    (arguments.folder / f'gpu-{name}.json').write_text(report)
    (arguments.folder / f'gpu-{name}.md').write_text(table(about, rows))
    print(f'written to {arguments.folder}/gpu-{name}.json and .md')


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog='gpu_check bench', description=__doc__)
    add = parser.add_argument
    add('--only', default='', metavar='TEXT', help='cases with TEXT in the name; writes nothing')
    add('--points', type=int, default=500_000, metavar='N', help='points of a cloud (500000)')
    add('--rounds', type=int, default=ROUNDS, metavar='N', help=f'of each timing ({ROUNDS})')
    add('--device-id', type=int, default=0, metavar='N', help='number of the GPU (0)')
    add('--folder', type=Path, default=FOLDER, help='where to write (docs/benchmarks)')
    return parser.parse_args()


class Recorder:
    """A device that remembers the program it ran last."""

    def __init__(self, device: CupyDevice) -> None:
        self._device = device
        self.last: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def execute(self, program: Any) -> None:
        """Queue a program."""
        self.last = program
        self._device.execute(program)


class Stopwatch:
    """Microseconds of work on one stream, p50 and p99 over many rounds."""

    def __init__(self, cupy: Any, rounds: int) -> None:
        self.cupy = cupy
        self.rounds = rounds

    def on_gpu(self, stream: Any, work: Callable[[int], Any], share: int = 1) -> dict[str, float]:
        """From event to event around `work(round)`, divided by `share`."""
        event = self.cupy.cuda.Event
        taken = []
        for number in range(-2, self.rounds):  # two rounds to warm up
            begin, end = event(), event()
            begin.record(stream)
            work(number)
            end.record(stream)
            end.synchronize()
            if number >= 0:
                taken.append(1e3 * self.cupy.cuda.get_elapsed_time(begin, end) / share)
        return percentiles(taken)

    def on_host(self, work: Callable[[], Any]) -> dict[str, float]:
        """By the clock of the host, until all the work of the GPU is done."""
        taken = []
        for number in range(-2, self.rounds):
            begin = time.perf_counter()
            work()
            self.cupy.cuda.runtime.deviceSynchronize()
            if number >= 0:
                taken.append(1e6 * (time.perf_counter() - begin))
        return percentiles(taken)


def percentiles(taken: Sequence[float]) -> dict[str, float]:
    """Summarise microseconds."""
    ordered = sorted(taken)
    last = len(ordered) - 1
    return {'p50': round(ordered[last // 2], 2), 'p99': round(ordered[round(0.99 * last)], 2)}


def measure(
    case: bench_gpu_cases.Case,
    watch: Stopwatch,
    device: Any,
    cupy: Any,
    plain: Any,
    torch: Any,
    about: dict[str, Any],
) -> dict[str, Any]:
    """All timings of one case."""
    in_turn = min(2 + 2 * about['l2_bytes'] // case.nbytes, MOST_IN_TURN)
    prepared = [prepare(case, device) for _ in range(in_turn)]
    programs = [program for program, _ in prepared]
    row: dict[str, Any] = {
        'case': case.name,
        'note': case.note,
        'bytes': case.nbytes,
        'floor_us': round(case.nbytes / about['copy_bytes_per_us'], 2),
        'target_us': case.target_us,
        'in_turn': in_turn,
    }
    for temperature, chosen in (('warm', programs[:1]), ('cold', programs)):
        row[f'kernels_{temperature}_us'] = kernel_time(watch, device, chosen)
        row[f'replay_{temperature}_us'] = watch.on_gpu(
            device.stream, lambda k, chosen=chosen: device.execute(chosen[k % len(chosen)])
        )
    del prepared
    if case.call is not None:
        row['call_us'] = watch.on_host(case.call(cupy))
    if case.message is not None:
        backend = CudaBackend(device, LIMITS)
        row['message_us'] = watch.on_host(case.message(backend))
        row['message_numpy_us'] = watch.on_host(case.message(NumpyBackend()))
    row['peers_us'] = {}
    for name, run in case.peers(cupy, plain, torch).items():
        try:
            taken = watch.on_gpu(peer_stream(cupy, name), lambda _, run=run: run())
        except Exception as error:  # one that is installed in part does not cost the others
            print(f'{case.name}: {name} does not run: {error}', file=sys.stderr)
        else:
            row['peers_us'][name] = taken
    return row


def prepare(case: bench_gpu_cases.Case, device: Any) -> tuple[Any, Any]:
    """Compute once with memory of its own; the program of that, and what keeps it runnable."""
    run = case.resident(Staging(device, LIMITS))
    run()
    run()  # the first one grew the memory
    return device.last, run


def kernel_time(watch: Stopwatch, device: Any, programs: Sequence[Any]) -> dict[str, float]:
    """One of many executions in one recorded graph: launching it is not in there."""
    repeats = -(-IN_A_ROW // len(programs))
    stream = device.stream
    stream.begin_capture()
    for _ in range(repeats):
        for program in programs:
            device.queue(program)
    graph = stream.end_capture()
    count = repeats * len(programs)
    return watch.on_gpu(stream, lambda _: graph.launch(stream), share=count)


def peer_stream(cupy: Any, name: str) -> Any:
    """The stream that a peer works on."""
    if name == 'torch':
        import torch

        return cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream)
    return cupy.cuda.get_current_stream()


def copy_rate(watch: Stopwatch) -> float:
    """Bytes read and written per microsecond by a large copy on the device."""
    source = watch.cupy.ones(COPY_BYTES // 2 // 4, watch.cupy.float32)
    target = watch.cupy.empty_like(source)
    stream = watch.cupy.cuda.get_current_stream()

    def copy(_: int) -> None:
        watch.cupy.copyto(target, source)

    return COPY_BYTES / watch.on_gpu(stream, copy)['p50']


def torch_with_gpu(device_id: int) -> Any:
    """Return torch, on this GPU, where it is installed and sees GPUs, else None."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    torch.cuda.set_device(device_id)
    return torch


def machine(cupy: Any, torch: Any, device_id: int) -> dict[str, Any]:
    """Where this ran, without the name of the machine."""
    properties = cupy.cuda.runtime.getDeviceProperties(device_id)
    return {
        'device': properties['name'].decode(),
        'multiprocessors': int(properties['multiProcessorCount']),
        'l2_bytes': int(properties['l2CacheSize']),
        'driver_cuda': cupy.cuda.runtime.driverGetVersion(),
        'runtime_cuda': cupy.cuda.runtime.runtimeGetVersion(),
        'cpu': bench.cpu_model(),
        'python': platform.python_version(),
        'numpy': np.__version__,
        'cupy': cupy.__version__,
        'torch': None if torch is None else torch.__version__,
        'robocache_ros': __version__,
        'commit': bench.commit(),
        'date': time.strftime('%Y-%m-%d'),
    }


HEADINGS = (
    'case', 'floor', 'target', 'kernels warm', 'kernels cold', 'replay warm', 'call', 'message',
    'NumPy', 'peers',
)  # fmt: skip


def table(about: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """Return the results as a page of Markdown: p50 / p99 in microseconds."""
    measured = (
        f'Measured on {about["date"]} at commit {about["commit"]} by `./scripts/gpu_check bench`: '
        f'CuPy {about["cupy"]}, torch {about["torch"]}, CUDA {about["runtime_cuda"]}, '
        f'{about["copy_bytes_per_us"] / 1e6:.2f} TB/s for a copy, read and written. '
        'Microseconds, p50 / p99; `./scripts/gpu_check bench --help` says of what.'
    )
    lines = [
        f'# {about["device"]}',
        '',
        measured,
        '',
        '| ' + ' | '.join(HEADINGS) + ' |',
        '| --- ' * len(HEADINGS) + '|',
    ]
    return '\n'.join([*lines, *(table_row(row) for row in rows)]) + '\n'


def table_row(row: dict[str, Any]) -> str:
    """Return one case as a row of the table."""

    def shown(key: str) -> str:
        timing = row.get(key)
        return '' if timing is None else f'{timing["p50"]:g} / {timing["p99"]:g}'

    others = ', '.join(f'{name} {timing["p50"]:g}' for name, timing in row['peers_us'].items())
    target = '' if row['target_us'] is None else f'{row["target_us"]:g}'
    timings = [
        shown(f'{key}_us')
        for key in (
            'kernels_warm', 'kernels_cold', 'replay_warm', 'call', 'message', 'message_numpy'
        )
    ]  # fmt: skip
    cells = [row['case'], f'{row["floor_us"]:g}', target, *timings, others]
    return '| ' + ' | '.join(cells) + ' |'


if __name__ == '__main__':
    main()
