# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A calibrated camera: what tells on which pixel of its image a point falls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from robocache_ros.codec.buffers import shown
from robocache_ros.reasons import Reason, Rejected

DoubleArray = npt.NDArray[np.float64]

# How many coefficients each model may have. Of a rational polynomial those after the eighth, of a
# thin prism and a tilted sensor, have to be 0.
MODELS: Mapping[str, Sequence[int]] = {
    'plumb_bob': (0, 4, 5),
    'rational_polynomial': (8, 12, 14),
    'equidistant': (0, 4),
    '': (0,),
}
PINHOLE_COEFFICIENTS = 8  # k1 k2 p1 p2 k3 k4 k5 k6
FISHEYE_COEFFICIENTS = 4  # k1 k2 k3 k4

_MAX_THETA = 2.9670597283903604  # rad, 170 degrees off the axis of a fisheye
_MAX_RADIUS = 99.0  # x / z, 89.4 degrees off the axis of a pinhole
_STEPS = 4096  # of the walk outwards
_HALVINGS = 60
_ROTATION_TOLERANCE = 1e-3
_MAX_BASELINE = 1e6  # m


@dataclass(frozen=True)
class Camera:
    """
    How a camera sees, for images of one size; the pixel (u, v) has its centre at (u, v).

    Made by `from_info` and `from_file`; `for_size` gives the same camera for scaled images.
    Cameras of the same numbers are equal.
    """

    width: int  # pixels
    height: int
    fx: float  # pixels
    fy: float
    cx: float
    cy: float
    fisheye: bool  # equidistant, else a pinhole
    # k1 k2 p1 p2 k3 k4 k5 k6 of a pinhole, k1 k2 k3 k4 of a fisheye; all 0: none.
    distortion: tuple[float, ...]
    # Up to where no two directions share a pixel: of a pinhole x * x + y * y of the undistorted
    # x = X / Z and y = Y / Z, of a fisheye the angle to its axis in rad.
    limit: float
    rectification: tuple[float, ...] = tuple(np.eye(4).reshape(-1).tolist())  # see `rectify`

    @classmethod
    def from_info(cls, msg: Any, rectified: bool = False) -> Camera:
        """
        Camera of a sensor_msgs/CameraInfo, for the images of its region of interest, binned.

        `rectified`: of the images that image_proc makes, which its P and R tell. Raises Rejected.
        """
        fisheye, distortion, rectify = False, (0.0,) * PINHOLE_COEFFICIENTS, np.eye(4)
        if rectified:
            matrix = _numbers(msg, 'p', 3, 4)
        else:
            matrix = _numbers(msg, 'k', 3, 3)
            fisheye, distortion = _distortion(msg)
        (fx, skew, cx), (_, fy, cy) = matrix[:2, :3].tolist()
        if fx <= 0 or fy <= 0:
            raise Rejected(
                Reason.CAMERA_INFO_UNCALIBRATED, f'the focal lengths are {fx:g} and {fy:g}'
            )
        if skew != 0 or matrix[1, 0] != 0:
            raise Rejected(Reason.CAMERA_INFO_BAD, f'a skew of {skew:g}: pixels have none')
        if rectified:
            rectify = _rectification(msg, matrix)
        width, height = int(msg.width), int(msg.height)
        limit = _limit(fisheye, distortion)
        exact = tuple(rectify.reshape(-1).tolist())
        full = cls(width, height, fx, fy, cx, cy, fisheye, distortion, limit, exact)
        return full._windowed(msg)

    @classmethod
    def from_file(cls, path: str | Path, rectified: bool = False) -> Camera:
        """Camera of a YAML file as camera_calibration writes it; ValueError if it is none."""
        try:
            return cls.from_info(_read_info(path), rectified)
        except Rejected as rejected:
            raise ValueError(f'{path}: {rejected.detail}') from None

    @property
    def rectify(self) -> DoubleArray:
        """From the frame of the messages into the one that is projected, float64 [4, 4]."""
        return np.array(self.rectification).reshape(4, 4)

    @property
    def distorted(self) -> bool:
        """Whether the lens bends anything."""
        return any(self.distortion)

    def for_size(self, width: int, height: int) -> Camera:
        """
        Return this camera for images of another size, but of the same shape.

        That is, scaled as a whole: both edges by the same factor, to within a pixel. Raises
        Rejected for any other shape, since nothing tells where such an image was cut.
        """
        if (width, height) == (self.width, self.height):
            return self
        off = abs(width * self.height - height * self.width)
        if off >= max(self.width, self.height):
            raise Rejected(
                Reason.CAMERA_INFO_SIZE,
                f'the camera is calibrated for {self.width} x {self.height} pixels, the image '
                f'has {width} x {height}',
            )
        return self._scaled(width, height, width / self.width, height / self.height)

    def _windowed(self, msg: Any) -> Camera:
        """Apply the region of interest and the binning of a CameraInfo; 0 means all, and 1."""
        roi = getattr(msg, 'roi', None)
        left, top = int(getattr(roi, 'x_offset', 0)), int(getattr(roi, 'y_offset', 0))
        width = int(getattr(roi, 'width', 0)) or self.width
        height = int(getattr(roi, 'height', 0)) or self.height
        bin_x, bin_y = int(getattr(msg, 'binning_x', 0)), int(getattr(msg, 'binning_y', 0))
        bin_x, bin_y = max(bin_x, 1), max(bin_y, 1)
        inside = left + width <= self.width and top + height <= self.height
        if not (inside and width >= bin_x and height >= bin_y):
            raise Rejected(
                Reason.CAMERA_INFO_BAD,
                f'{self.width} x {self.height} pixels, of which {width} x {height} at '
                f'({left}, {top}), binned by {bin_x} x {bin_y}',
            )
        window = replace(self, cx=self.cx - left, cy=self.cy - top)
        return window._scaled(width // bin_x, height // bin_y, 1 / bin_x, 1 / bin_y)

    def _scaled(self, width: int, height: int, x: float, y: float) -> Camera:
        # The corner of the image stays where it is, half a pixel before the first centre.
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * x,
            fy=self.fy * y,
            cx=(self.cx + 0.5) * x - 0.5,
            cy=(self.cy + 0.5) * y - 0.5,
        )


def _numbers(msg: Any, name: str, rows: int, cols: int) -> DoubleArray:
    """Matrix of a CameraInfo."""
    values = np.array(getattr(msg, name), np.float64).reshape(-1)
    if values.size != rows * cols or not np.isfinite(values).all():
        raise Rejected(
            Reason.CAMERA_INFO_BAD,
            f'{name} is not {rows} x {cols} finite numbers: {shown(str(values.tolist()), 200)}',
        )
    return values.reshape(rows, cols)


def _distortion(msg: Any) -> tuple[bool, tuple[float, ...]]:
    """Whether it is a fisheye, and all coefficients of its model."""
    model = str(msg.distortion_model)
    values = np.array(msg.d, np.float64).reshape(-1).tolist()
    if model not in MODELS:
        names = ', '.join(name for name in MODELS if name)
        raise Rejected(Reason.CAMERA_INFO_MODEL, f'{shown(model)} is not one of {names}')
    if len(values) not in MODELS[model] or any(values[PINHOLE_COEFFICIENTS:]):
        raise Rejected(
            Reason.CAMERA_INFO_MODEL,
            f'{shown(model)} with d = {shown(str(values), 200)}: it has '
            f'{" or ".join(map(str, MODELS[model]))} coefficients, 0 after the eighth',
        )
    if not np.isfinite(values).all():
        raise Rejected(Reason.CAMERA_INFO_BAD, f'd is not finite: {values}')
    fisheye = model == 'equidistant'
    length = FISHEYE_COEFFICIENTS if fisheye else PINHOLE_COEFFICIENTS
    return fisheye, tuple((values + [0.0] * length)[:length])


def _rectification(msg: Any, projection: DoubleArray) -> DoubleArray:
    """Rotation R, and the place of the second camera of a pair, in metres, from P."""
    rotation = _numbers(msg, 'r', 3, 3)
    square = (rotation[:, None, :] * rotation[None, :, :]).sum(axis=2)
    if not np.abs(square - np.eye(3)).max() <= _ROTATION_TOLERANCE:
        raise Rejected(Reason.CAMERA_INFO_BAD, f'r is no rotation: {rotation.tolist()}')
    (fx, _, cx, tx), (_, fy, cy, ty), (*_, tz) = projection.tolist()
    rectify = np.eye(4)
    rectify[:3, :3] = rotation
    rectify[:3, 3] = (tx - cx * tz) / fx, (ty - cy * tz) / fy, tz
    if not np.abs(rectify).max() <= _MAX_BASELINE:
        raise Rejected(Reason.CAMERA_INFO_BAD, f'p of a pair at {rectify[:3, 3].tolist()} m')
    return rectify


def _limit(fisheye: bool, distortion: tuple[float, ...]) -> float:
    """Where the model stops to be one to one; arithmetic alone, so the same on every machine."""
    if not any(distortion) and not fisheye:
        return float('inf')
    part = np.arange(1, _STEPS + 1) / _STEPS
    if fisheye:
        return _end(lambda theta: _fisheye_grows(theta, distortion), part * _MAX_THETA)
    part *= _MAX_RADIUS / (1 + _MAX_RADIUS)
    radius = part / (1 - part)  # fine steps where images are, coarse ones outside
    return _end(lambda r2: _pinhole_grows(r2, distortion), radius * radius)


def _end(grows: Callable[[Any], Any], steps: DoubleArray) -> float:
    """Value up to which all of the ascending steps grow, found to the last bit."""
    with np.errstate(over='ignore', invalid='ignore'):
        bad = np.flatnonzero(~grows(steps))
        if not len(bad):
            return float(steps[-1])
        low, high = float(steps[bad[0] - 1]) if bad[0] else 0.0, float(steps[bad[0]])
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if grows(np.float64(middle)) else (low, middle)
    return low


def _fisheye_grows(theta: Any, distortion: tuple[float, ...]) -> Any:
    """Whether theta (1 + k1 theta^2 + k2 theta^4 ...) grows."""
    k1, k2, k3, k4 = distortion
    q = theta * theta
    return 1 + q * (3 * k1 + q * (5 * k2 + q * (7 * k3 + q * (9 * k4)))) > 0


def _pinhole_grows(r2: Any, distortion: tuple[float, ...]) -> Any:
    """Whether r over / under grows, both polynomials of r^2, and under is still positive."""
    k1, k2, _, _, k3, k4, k5, k6 = distortion
    over, over_slope = _cubic(r2, k1, k2, k3)
    under, under_slope = _cubic(r2, k4, k5, k6)
    slope = over * under + 2 * r2 * (over_slope * under - over * under_slope)
    return (under > 0) & (slope > 0)


def _cubic(x: Any, a: float, b: float, c: float) -> tuple[Any, Any]:
    """Value and slope of 1 + a x + b x^2 + c x^3."""
    return 1 + x * (a + x * (b + x * c)), a + x * (2 * b + x * (3 * c))


def _read_info(path: str | Path) -> SimpleNamespace:
    """Numbers of a calibration file under the names they have in a CameraInfo."""
    try:
        import yaml
    except ImportError as error:
        raise ValueError(f'reading {path} needs PyYAML: pip install pyyaml') from error
    try:
        tree = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except OSError as error:
        raise ValueError(f'{path} can not be read: {error.strerror}') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f'{path} is not YAML: {error}') from error
    try:
        return SimpleNamespace(
            width=int(tree['image_width']),
            height=int(tree['image_height']),
            distortion_model=tree['distortion_model'],
            d=_data(tree, 'distortion_coefficients'),
            k=_data(tree, 'camera_matrix'),
            r=_data(tree, 'rectification_matrix') if 'rectification_matrix' in tree else (),
            p=_data(tree, 'projection_matrix') if 'projection_matrix' in tree else (),
        )
    except KeyError as error:
        raise ValueError(f'{path} is no camera calibration: it has no {error}') from None
    except (TypeError, ValueError) as error:
        raise ValueError(f'{path} is no camera calibration: {error}') from None


def _data(tree: Any, name: str) -> list[float]:
    return [float(value) for value in tree[name]['data']]  # PyYAML reads 1e-5 as text
