# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The file of a network: what it is, told from its bytes before torch sees any of them.

A pickle is a program: to load it is to run it. What torch.save writes is one, and is refused.
TorchScript is read by an interpreter of torch and holds no Python. An archive of torch.export
describes a graph, and may hold pickles and compiled code beside it, which are refused; but
reading the graph is not safe against a hostile file either. docs/encoders.md has the details.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ONLY_TENSORS = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'  # torch.load looks at it whenever it is called
# Records of a .pt2 archive that torch unpickles without any limit, or runs as compiled code.
_CODE = re.compile(
    '[^/]+/(data/constants/(opaque_obj|custom_obj)|data/(aotinductor|executorch)/).*'
)
_EXPORT = (
    "torch.jit.save(torch.jit.trace(model.eval(), torch.zeros(1, 3, 224, 224)), 'model.pt') or "
    'torch.export.save(torch.export.export(model.eval(), (torch.zeros(1, 3, 224, 224),)), '
    "'model.pt2')"
)


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A file that has been read once: nobody can change it between the check and its use."""

    data: bytes
    digest: str  # SHA-256, 64 hexadecimal digits in lower case
    exported: bool  # an archive of torch.export, else TorchScript

    @classmethod
    def read(cls, path: str, sha256: str) -> ModelFile:
        """Read a file; ValueError with the end of a sentence if it is none, or not the one."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise ValueError(f'can not be read: {error.strerror or error}') from error
        digest = hashlib.sha256(data).hexdigest()
        if sha256 and digest != sha256:
            raise ValueError(f'is another file than `sha256` asks for: its digest is {digest}')
        return cls(data, digest, _is_exported(data))

    def load(self, torch: Any, device: str) -> Any:
        """Return the network on a device, ready to be called; raises whatever torch raises."""
        buffer = io.BytesIO(self.data)
        if not self.exported:
            return torch.jit.load(buffer, map_location=device).eval()
        with _only_tensors_unpickled():
            program = torch.export.load(buffer)
        if device != 'cpu':
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, device)
        return program.module()


def _is_exported(data: bytes) -> bool:
    """Tell torch.export from TorchScript; ValueError if it is neither."""
    names = _records(data)
    inner = {name.partition('/')[2] for name in names}  # each format has a folder of its own
    if 'archive_format' in inner or 'serialized_exported_program.json' in names:
        code = sorted(name for name in names if _CODE.fullmatch(name))
        if code:
            raise ValueError(
                f'holds objects or compiled code beside the network ({code[0]}), which is not '
                'loaded: export a network of plain tensors, with torch.export.save'
            )
        return True
    if 'constants.pkl' in inner:
        return False
    if 'data.pkl' in inner or data[:1] == b'\x80':
        raise ValueError(
            'is a pickle of torch.save, which runs code when it is loaded, and has no network '
            f'without its Python class: export the network with {_EXPORT}'
        )
    raise ValueError(
        f'is neither TorchScript nor an archive of torch.export: write one with {_EXPORT}'
    )


def _records(data: bytes) -> list[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return []


@contextmanager
def _only_tensors_unpickled() -> Iterator[None]:
    """Have torch refuse pickles of anything but tensors, which it would load in a second try."""
    before = os.environ.get(_ONLY_TENSORS)
    os.environ[_ONLY_TENSORS] = '1'
    try:
        yield
    finally:
        if before is None:
            del os.environ[_ONLY_TENSORS]
        else:
            os.environ[_ONLY_TENSORS] = before
