# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What keeps CUDA or torch from computing, if something does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from robocache_ros.doctor.finding import (
    Finding,
    Level,
    error,
    fine,
    mebibytes,
    told,
    warning,
)

ABOUT = 'cuda'
_ROOM_BYTES = 512 * 2**20  # for the context and the buffers of a node
_HUNG = 'Look at `nvidia-smi` and at `dmesg`, and restart the machine; `backend: numpy` goes on.'


def judge_cuda(
    driver: Mapping[str, Any], cupy: Mapping[str, Any], backend: str, device_id: int
) -> Iterator[Finding]:
    """
    Judge what the driver and CuPy say.

    Args:
        driver: facts of the driver, see cuda_facts.
        cupy: facts of CuPy.
        backend: what the node is to compute with: auto, numpy or cuda.
        device_id: number of its GPU.
    """
    level = {'cuda': Level.ERROR, 'numpy': Level.FINE}.get(backend, Level.WARNING)
    if 'failed' in driver:
        yield Finding(level, ABOUT, f'The driver of NVIDIA: {driver["failed"]}.', _HUNG)
        return
    problem = str(driver.get('problem') or cupy.get('problem') or '')
    if 'failed' in cupy:
        problem = f'CuPy does not answer ({cupy["failed"]}): install it anew'
    if driver.get('devices'):
        yield fine(ABOUT, _driver(driver))
        yield from _rooms(driver, device_id)
    elif level is Level.WARNING:
        yield fine(ABOUT, 'There is no GPU of NVIDIA here: NumPy computes, the same bits.')
        return
    if cupy.get('cupy'):
        yield fine(ABOUT, _cupy(cupy))
    if backend == 'numpy':
        yield fine(ABOUT, 'It is not asked for: backend is numpy.')
    elif problem:
        yield told(level, ABOUT, problem)
    else:
        yield fine(ABOUT, f'A node can compute on GPU {device_id}.')


def judge_torch(torch: Mapping[str, Any], devices: Collection[str]) -> Iterator[Finding]:
    """Judge what torch says; `devices`: what encoders of the parameters ask for, if any do."""
    if 'absent' in torch or 'failed' in torch:
        why = torch.get('absent') or torch.get('failed')
        if devices:
            sentence = f'An encoder needs PyTorch, which can not be imported: {why}.'
            yield error('torch', sentence, 'Run `pip install torch`, or leave encoder.path empty.')
        elif 'absent' in torch:
            yield fine('torch', 'PyTorch is not there; only encoders need it.')
        else:
            yield warning('torch', f'PyTorch does not import: {why}.', 'Install it anew.')
        return
    built = f'for CUDA {torch["cuda"]}' if torch.get('cuda') else 'for CPUs'
    finds = 'finds a GPU' if torch.get('finds_gpu') else 'finds no GPU'
    sentence = f'PyTorch {torch["version"]} {built} {finds}.'
    if 'cuda' in devices and not torch.get('finds_gpu'):
        yield error('torch', sentence, 'Set encoder.device: auto, or install a torch for CUDA.')
    else:
        yield fine('torch', sentence)


def _driver(driver: Mapping[str, Any]) -> str:
    devices = []
    for device in driver['devices']:
        memory = mebibytes(device['total'])
        if device.get('free') is not None:
            memory = f'{mebibytes(device["free"])} of {memory} free'
        devices.append(f'{device["name"]} ({device["capability"]}, {memory})')
    version = f' {driver["version"]}' if driver.get('version') else ''
    return f'Driver{version} for CUDA {driver["cuda"]}; {", ".join(devices)}.'


def _rooms(driver: Mapping[str, Any], device_id: int) -> Iterator[Finding]:
    devices = driver['devices']
    free = devices[device_id].get('free') if device_id < len(devices) else None
    if free is not None and free < _ROOM_BYTES:
        yield warning(
            ABOUT,
            f'GPU {device_id} has only {mebibytes(free)} of memory left.',
            'End what uses it (`nvidia-smi` tells), or set `backend: numpy`.',
        )


def _cupy(cupy: Mapping[str, Any]) -> str:
    nvrtc = cupy.get('nvrtc')
    compiler = f'NVRTC {nvrtc}' if nvrtc else 'no NVRTC'
    return f'CuPy {cupy["cupy"]} for CUDA {cupy["runtime"]}, {compiler}.'
