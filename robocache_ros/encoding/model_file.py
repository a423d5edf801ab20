# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The file of a network: what it is, told from its bytes before torch sees any of them.

A pickle is a program: to load it is to run it. What torch.save writes is one, and is refused.
TorchScript is read by an interpreter of torch and holds no Python. An archive of torch.export
describes a graph, and may hold pickles and compiled code beside it: only records that are known
to be neither get to torch. But reading the graph is not safe against a hostile file either.
docs/encoders.md has the details.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robocache_ros.config.parameters import shown

_ONLY_TENSORS = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'  # torch.load looks at it whenever it is called
# All records that torch.export.save writes for a network of plain tensors, below their folder.
# Others may be objects that torch unpickles without any limit, or compiled code that it runs.
_KNOWN = re.compile(
    r'archive_format|archive_version|byteorder|version|\.data/(version|serialization_id)'
    r'|models/model\.json|extra/.+|data/sample_inputs/model\.pt'
    r'|data/(weights|constants)/(model\.pt|model_[a-z_]+\.json)'
    r'|data/weights/weight_[0-9]+|data/constants/tensor_[0-9]+'
)
# The same of torch up to 2.7, which have no folder.
_KNOWN_BEFORE = re.compile(
    r'version|serialized_(exported_program|state_dict|constants)\.json|extra_files/.+'
    r'|serialized_(state_dict|constants|example_inputs)\.pt'
)
# Tables of which record holds which tensor: torch tells by these names what it unpickles.
_TABLE = re.compile(r'data/(weights|constants)/model_[a-z_]+\.json')
_TENSOR = re.compile('(weight|tensor)_[0-9]+')
_EXPORT = (
    "torch.jit.save(torch.jit.trace(model.eval(), torch.zeros(1, 3, 224, 224)), 'model.pt') or "
    'torch.export.save(torch.export.export(model.eval(), (torch.zeros(1, 3, 224, 224),)), '
    "'model.pt2')"
)


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A file that has been read once: nobody can change it between the check and its use."""

    data: bytes  # as it was read; of torch.export, an archive of the records that were checked
    digest: str  # SHA-256 of the file, 64 hexadecimal digits in lower case
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
        exported = _is_exported(data)
        return cls(_checked(data) if exported else data, digest, exported)

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


def _checked(data: bytes) -> bytes:
    """
    Write an archive of torch.export anew; ValueError if it holds more than plain tensors.

    torch then has nothing before it but what was checked: its reader and this one may find
    different records in a file that was made for that.
    """
    found = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(found, 'w') as new:
        names = old.namelist()
        before = 'serialized_exported_program.json' in names
        folder, known = ('', _KNOWN_BEFORE) if before else (names[0].split('/')[0] + '/', _KNOWN)
        if len(set(names)) < len(names):
            raise ValueError('is damaged: it holds two records of one name')
        for name in names:
            inner = name[len(folder) :]
            if not name.startswith(folder) or not known.fullmatch(inner):
                raise _more_than_tensors(name)
            record = _content(old, name)
            if folder and _TABLE.fullmatch(inner):
                _check_table(name, record)
            new.writestr(zipfile.ZipInfo(name), record)
    return found.getvalue()


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f'is damaged: {name} can not be read ({error})') from error


def _check_table(name: str, record: bytes) -> None:
    """Refuse a table that names anything but tensors."""
    try:
        named = [about['path_name'] for about in json.loads(record.decode())['config'].values()]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f'is damaged: {name} is no table of tensors') from error
    for path in named:
        if not isinstance(path, str) or not _TENSOR.fullmatch(path):
            raise _more_than_tensors(path)


def _more_than_tensors(name: object) -> ValueError:
    return ValueError(
        f'holds objects or code beside the network, or what may be some ({shown(name)}), which is '
        'not loaded: export a network of plain tensors, with torch.export.save'
    )


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
