# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A network in torch, and what an image goes through before and after it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from robocache_ros.codec.image import ImageView
from robocache_ros.config import ConfigError, EncoderConfig, ImageSource
from robocache_ros.encoding.attempt import check_encoding, in_short
from robocache_ros.encoding.model_file import ModelFile
from robocache_ros.encoding.pixels import Pixels, pixels_of
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import FloatArray

_WARM_UP_CALLS = 3  # TorchScript watches the first, compiles in the second, and is itself then


class Model:
    """
    A network that is loaded, has been tried, and is only ever read: threads may share it.

    identity: what computes, and where, for example 'torch 2.13.0, cpu'.
    device: 'cpu' or 'cuda'.
    digest: SHA-256 of its file, 64 hexadecimal digits.
    """

    def __init__(
        self, torch: Any, network: Any, digest: str, config: EncoderConfig, device: str
    ) -> None:
        """Use a network that is on `device`; `Model.open` is how to get here."""
        self._torch = torch
        self._network = network
        self._size = config.input_size
        self._threads = config.threads
        shape = (1, len(config.mean), 1, 1)
        self._mean = torch.tensor(config.mean, dtype=torch.float32, device=device).reshape(shape)
        self._std = torch.tensor(config.std, dtype=torch.float32, device=device).reshape(shape)
        self.device = device
        self.digest = digest
        where = device if device == 'cpu' else f'{device} ({torch.cuda.get_device_name()})'
        self.identity = f'torch {torch.__version__}, {where}'

    @classmethod
    def open(cls, source: ImageSource) -> Model:
        """Load the network of a source and try it; ConfigError with what is wrong."""
        config, prefix = source.encoder, f'{source.name}.encoder'
        torch = _import_torch(prefix)
        device = _device(torch, config.device, prefix)
        about = f'{prefix}.path: {config.path}'
        try:
            file = ModelFile.read(config.path, config.sha256)
        except ValueError as error:
            raise ConfigError(f'{about} {error}') from error
        try:
            network = file.load(torch, device)
        except Exception as error:
            raise ConfigError(
                f'{about} can not be loaded by torch {torch.__version__}: {in_short(error)}'
            ) from error
        model = cls(torch, network, file.digest, config, device)
        model._warm_up(config, prefix)
        return model

    def encode(self, image: ImageView) -> FloatArray:
        """
        Return what the network puts out for an image, float32 [width], unchecked.

        The network gets float32 [1, 1 or 3, rows, cols]: bytes as 0 to 1, other values as they
        are; resized (bilinear, antialiased, as torchvision does it), less `mean`, divided by
        `std`. Raises whatever the network raises, and Rejected for an output of another form than
        [1, width] or [1, width, 1, 1].
        """
        torch = self._torch
        with torch.inference_mode(), self._own_threads():
            colours = self._resized(pixels_of(image, self._mean.shape[1]))
            return _flat(torch, self._network((colours - self._mean) / self._std))

    def _resized(self, pixels: Pixels) -> Any:
        """Tensor float32 [1, channels, rows, cols]; what is cheaper on few values comes last."""
        torch = self._torch
        values = torch.from_numpy(pixels.values)
        if self.device != 'cpu':  # bytes travel as bytes
            values = values.contiguous().pin_memory().to(self.device, non_blocking=True)
        values = values.permute(2, 0, 1)[None].to(torch.float32)
        if values.shape[2:] != self._size:
            values = torch.nn.functional.interpolate(
                values, self._size, mode='bilinear', align_corners=False, antialias=True
            )
        return values[:, list(pixels.channels)] / pixels.largest

    @contextmanager
    def _own_threads(self) -> Iterator[None]:
        """Set how many threads torch computes this with; it keeps that for each that calls it."""
        before = self._torch.get_num_threads()
        self._torch.set_num_threads(self._threads)
        try:
            yield
        finally:
            self._torch.set_num_threads(before)

    def _warm_up(self, config: EncoderConfig, prefix: str) -> None:
        """Try the network on an image without meaning, so that the first real one is not late."""
        about, image = f'{prefix}.path: {config.path}', _test_image(config)
        try:
            with warnings.catch_warnings():
                # torch warns once that nobody may write into a message; nobody will.
                warnings.simplefilter('ignore')
                for _ in range(_WARM_UP_CALLS):
                    values = self.encode(image)
        except Rejected as error:
            raise ConfigError(
                f'{about} puts out {error.detail}: wrap the network, so that it returns one '
                'tensor [1, width], and export it again'
            ) from error
        except Exception as error:
            channels, size = len(config.mean), list(config.input_size)
            raise ConfigError(
                f'{about} does not take float32 {[1, channels, *size]} ({in_short(error)}): set '
                f'{prefix}.input_size, and as many numbers in mean and std as it has channels'
            ) from error
        if values.size != config.width:
            raise ConfigError(
                f'{about} puts out {values.size} values: set {prefix}.width: {values.size}'
            )
        try:
            check_encoding(values, config.width)
        except Rejected as error:
            raise ConfigError(
                f'{about}: of a test image {error.detail}; see {prefix}.mean and std'
            ) from error


def _import_torch(prefix: str) -> Any:
    try:
        import torch
    except ImportError as error:
        raise ConfigError(
            f'{prefix}.path needs PyTorch, which this Python can not import ({error}): '
            'pip install torch'
        ) from error
    return torch


def _device(torch: Any, asked: str, prefix: str) -> str:
    found = torch.cuda.is_available()
    if asked == 'cuda' and not found:
        raise ConfigError(
            f'{prefix}.device must be auto or cpu here: torch {torch.__version__} finds no GPU'
        )
    return 'cuda' if found and asked != 'cpu' else 'cpu'


def _flat(torch: Any, output: Any) -> FloatArray:
    """Values of an output [1, width] or [1, width, 1, 1] as an array of their own."""
    if not isinstance(output, torch.Tensor):
        raise Rejected(Reason.ENCODER_WIDTH, f'a {type(output).__name__} instead of a tensor')
    shape = tuple(output.shape)
    if len(shape) not in (2, 4) or shape != (1, output.numel(), 1, 1)[: len(shape)]:
        raise Rejected(Reason.ENCODER_WIDTH, f'a tensor {list(shape)} instead of [1, width]')
    return np.array(output.reshape(-1).to('cpu', torch.float32).numpy())


def _test_image(config: EncoderConfig) -> ImageView:
    """Bytes of every value: an image of one colour is a special case to a network."""
    encoding, size = ('mono8', 1) if len(config.mean) == 1 else ('rgb8', 3)
    rows, cols = config.input_size
    data = np.frombuffer(bytes(i % 251 for i in range(rows * cols * size)), np.uint8)
    return ImageView(data, rows, cols, cols * size, encoding, big_endian=False)
