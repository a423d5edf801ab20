# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Why something was left out: every reason there is, what it means and what to do about it."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Scope(Enum):
    """What a reason is about: a message, values of it, a grid, a transform, a frame, a call."""

    SAMPLE = 'sample'
    VALUE = 'value'
    GRID = 'grid'
    TRANSFORM = 'transform'
    FRAME = 'frame'
    CALL = 'call'


class _Entry(NamedTuple):
    key: str
    scope: Scope
    what: str
    fix: str


class Reason(Enum):
    """A reason, named by its key in diagnostics; docs/reasons.md is generated from this enum."""

    # -- time ------------------------------------------------------------------------------
    STAMP_UNSET = _Entry(
        'stamp_unset',
        Scope.SAMPLE,
        'The header stamp is zero.',
        'Make the driver stamp its messages, or set `stamp: receive` for this source.',
    )
    CLOCK_UNSET = _Entry(
        'clock_unset',
        Scope.SAMPLE,
        '`use_sim_time` is set and /clock is silent, so that messages have no time of arrival.',
        'Start the simulator, or `ros2 bag play --clock`, or set `use_sim_time: false`.',
    )
    STAMP_INVALID = _Entry(
        'stamp_invalid',
        Scope.SAMPLE,
        'The header stamp has negative seconds or a nanosecond part of a second or more.',
        'Fix the driver; such a stamp has no defined time.',
    )
    DUPLICATE = _Entry(
        'duplicate',
        Scope.SAMPLE,
        'A sample of this source with the same stamp is already buffered.',
        'Look for two publishers on the topic, or a driver that repeats stamps.',
    )
    LATE = _Entry(
        'late',
        Scope.SAMPLE,
        'The sample is older than the history kept for its source.',
        'Raise `history_sec` of the source, or find out what delays it.',
    )
    JUMP_UNCONFIRMED = _Entry(
        'jump_unconfirmed',
        Scope.SAMPLE,
        'One sample was further than `clock_jump_sec` from its neighbours; the next one was not.',
        'Look for corrupt stamps in the driver.',
    )
    OLD_EPOCH = _Entry(
        'old_epoch',
        Scope.SAMPLE,
        'The clock has jumped back, and this source still sends stamps from before the jump.',
        'Normal for a moment when a bag loops; otherwise synchronise the clock of this source.',
    )
    EPOCH_FLUSH = _Entry(
        'epoch_flush',
        Scope.SAMPLE,
        'The sample was buffered and not yet used when the clock jumped back.',
        'Normal when a bag loops or a simulation restarts.',
    )
    OVERLOAD = _Entry(
        'overload',
        Scope.SAMPLE,
        'Frames became ready faster than they could be computed, and the newest one won.',
        'Use a larger voxel, fewer channels, a lower trigger rate, or a faster machine.',
    )
    TIMEOUT_SKIP = _Entry(
        'timeout_skip',
        Scope.SAMPLE,
        'Its frame was not complete within `timeout_sec`, and `on_timeout` is `skip`.',
        'Raise `timeout_sec`, or set `on_timeout: partial`.',
    )
    COMPUTE_ERROR = _Entry(
        'compute_error',
        Scope.SAMPLE,
        'The computation of its frame raised an error; the log has its text.',
        'Report it: this is a bug of the package.',
    )
    REQUIRED_MISSING = _Entry(
        'required_missing',
        Scope.SAMPLE,
        'A source marked `required` had nothing valid for its frame.',
        'See the status of the required source, or set its `required: false`.',
    )
    # -- clouds ----------------------------------------------------------------------------
    CLOUD_SIZE = _Entry(
        'cloud_size',
        Scope.SAMPLE,
        'width, height, point_step, row_step and the length of data do not add up.',
        'Fix the driver; the message says more points than it carries.',
    )
    CLOUD_FIELD = _Entry(
        'cloud_field',
        Scope.SAMPLE,
        'A field lies outside the point, repeats a name, has count 0 or an unknown datatype.',
        'Fix the field list of the driver.',
    )
    CLOUD_XYZ = _Entry(
        'cloud_xyz',
        Scope.SAMPLE,
        'x, y or z is missing, or is not float32 or float64.',
        'Publish metres as float32 or float64 fields named x, y and z.',
    )
    TOO_LARGE = _Entry(
        'too_large',
        Scope.SAMPLE,
        'The message claims more data than any sensor sends.',
        'Fix the driver, or split the message.',
    )
    # -- images ----------------------------------------------------------------------------
    IMAGE_ENCODING = _Entry(
        'image_encoding',
        Scope.SAMPLE,
        'The image encoding is not one of those this node reads.',
        'Publish rgb8, bgr8, rgba8, bgra8, mono8, mono16, 16UC1, 32FC1 or bayer_*8.',
    )
    IMAGE_SIZE = _Entry(
        'image_size',
        Scope.SAMPLE,
        'width, height, step and the length of data do not add up.',
        'Fix the driver; the message says more pixels than it carries.',
    )
    IMAGE_TOO_SMALL = _Entry(
        'image_too_small',
        Scope.SAMPLE,
        'The image has fewer rows or columns than the feature grid.',
        'Use a smaller `grid` for this source.',
    )
    IMAGE_FORMAT = _Entry(
        'image_format',
        Scope.SAMPLE,
        'A compressed image is not JPEG or PNG, or a kind of them that is not read.',
        'Set the image_transport of the publisher to jpeg or png; docs/images.md lists the kinds.',
    )
    IMAGE_CORRUPT = _Entry(
        'image_corrupt',
        Scope.SAMPLE,
        'A compressed image is truncated or damaged.',
        'Look for a publisher that is killed, or a transport that cuts messages.',
    )
    CAMERA_INFO_MODEL = _Entry(
        'camera_info_model',
        Scope.SAMPLE,
        'The distortion model of a CameraInfo is not plumb_bob, rational_polynomial or '
        'equidistant, or has other coefficients.',
        'Calibrate with one of these, or rectify the image and set `rectified: true`.',
    )
    CAMERA_INFO_UNCALIBRATED = _Entry(
        'camera_info_uncalibrated',
        Scope.SAMPLE,
        'A CameraInfo has no focal length: its camera was never calibrated.',
        'Calibrate the camera, or name a file in `S.calibration`.',
    )
    CAMERA_INFO_BAD = _Entry(
        'camera_info_bad',
        Scope.SAMPLE,
        'A CameraInfo has no size, a value that is not finite, or arrays of a wrong length.',
        'Fix the driver, or name a file in `S.calibration`.',
    )
    # -- vectors ---------------------------------------------------------------------------
    NONFINITE = _Entry(
        'nonfinite',
        Scope.SAMPLE,
        'A value is NaN, infinite or absurdly large (2^126 or more).',
        'Fix the driver; a fused vector never carries such values.',
    )
    BAD_POSE = _Entry(
        'bad_pose',
        Scope.SAMPLE,
        'The orientation of an odometry message is not near unit length.',
        'Fix the publisher: a pose that is not known yet should not be sent.',
    )
    JOINT_MISSING = _Entry(
        'joint_missing',
        Scope.SAMPLE,
        'The message lacks a configured joint, or names one twice.',
        'Compare `joints` of the source with the names in the message.',
    )
    JOINT_LENGTH = _Entry(
        'joint_length',
        Scope.SAMPLE,
        'position, velocity or effort is neither empty nor as long as name.',
        'Fix the publisher of the joint states.',
    )
    ARRAY_SHORT = _Entry(
        'array_short',
        Scope.SAMPLE,
        'An array of the message has fewer values than the source is configured for.',
        'Lower that parameter of the source (docs/sources.md), or see who publishes the message.',
    )
    VECTOR_FORM = _Entry(
        'vector_form',
        Scope.SAMPLE,
        'The `decode` of a type from another package made something else than its rows say.',
        'Mend that package; the log has what it made, and what its rows ask for.',
    )
    RANGE_LIMITS = _Entry(
        'range_limits',
        Scope.SAMPLE,
        'The least and the greatest range that a message names are no finite interval.',
        'Fix the driver: what is out of range can not be told without them.',
    )
    # -- values inside a message that is otherwise used -------------------------------------
    CLOUD_ROW_STEP = _Entry(
        'cloud_row_step',
        Scope.VALUE,
        'Clouds read as if row_step were width x point_step, which is what their data holds.',
        'Fix the driver: row_step is zero or stale.',
    )
    CLOUD_EXTRA_DATA = _Entry(
        'cloud_extra_data',
        Scope.VALUE,
        'Clouds with more bytes than their points take; the rest was not read.',
        'Fix the driver: width, height or point_step is too small, or data is too long.',
    )
    BAD_QUATERNION = _Entry(
        'bad_quaternion',
        Scope.VALUE,
        'The orientation is not near unit length; the rest of the sample is used.',
        'Normal where there is none; an Imu says so by orientation_covariance[0] = -1.',
    )
    FIELD_MISSING = _Entry(
        'field_missing',
        Scope.VALUE,
        'Clouds where a field of a voxel channel is missing or a 64-bit integer: no value there.',
        'Remove the channel from `voxels.channels`, or publish the field.',
    )
    FRAME_MISMATCH = _Entry(
        'frame_mismatch',
        Scope.VALUE,
        'Clouds left out of the grid: no frames are configured, and their frame_id is not the '
        'output frame.',
        'Set `base_frame`, and `S.extrinsic` or /tf; or leave `output_frame` empty.',
    )
    CLOUD_EMPTY = _Entry(
        'cloud_empty',
        Scope.VALUE,
        'Clouds without a single point.',
        'Look at the driver: whether the sensor measures, is covered, or all is filtered out.',
    )
    CLOUD_OUT_OF_RANGE = _Entry(
        'cloud_out_of_range',
        Scope.VALUE,
        'Clouds of which no point lies in `voxels.point_cloud_range`.',
        'Check the range, the units of the cloud, and where its frame is.',
    )
    GRID_CHANGED = _Entry(
        'grid_changed',
        Scope.VALUE,
        'A row of the feature table is of a cloud whose points had been given back when the grid '
        'was changed, so that the row is not valid.',
        'Normal until the table has moved on past a change of `voxels.*`.',
    )
    # -- cameras that paint clouds ----------------------------------------------------------
    CAMERA_INFO_MISSING = _Entry(
        'camera_info_missing',
        Scope.VALUE,
        'No usable CameraInfo has come, so that the camera paints nothing.',
        'See that somebody publishes it (`S.info_topic`), or name a file in `S.calibration`.',
    )
    CAMERA_INFO_SIZE = _Entry(
        'camera_info_size',
        Scope.VALUE,
        'The CameraInfo is of images of another shape than those that come.',
        'Publish the CameraInfo of the images, or calibrate at their size.',
    )
    PAINT_NO_IMAGE = _Entry(
        'paint_no_image',
        Scope.VALUE,
        'A cloud has no image of the camera within `max_gap_sec` of it.',
        'See the rate and the clock of the camera, or raise its `max_gap_sec`.',
    )
    PAINT_ENCODING = _Entry(
        'paint_encoding',
        Scope.VALUE,
        'The image has no colours to paint: it is 32FC1, or a mosaic below 2 x 2 pixels.',
        'Name the field that its values become in `S.paint`, for example [depth].',
    )
    # -- encoders ---------------------------------------------------------------------------
    ENCODER_BUSY = _Entry(
        'encoder_busy',
        Scope.VALUE,
        'No worker was free within `encoder.timeout_sec`: the image has no encoding.',
        'Use a smaller model, a GPU, more `encoder.workers`, or a slower camera.',
    )
    ENCODER_FAILED = _Entry(
        'encoder_failed',
        Scope.VALUE,
        'The model raised an error; diagnostics have its text.',
        'Try the model on an image of this camera.',
    )
    ENCODER_NONFINITE = _Entry(
        'encoder_nonfinite',
        Scope.VALUE,
        'The model put out NaN or infinity: the image has no encoding.',
        'Check the model, and `encoder.mean` and `encoder.std`.',
    )
    ENCODER_WIDTH = _Entry(
        'encoder_width',
        Scope.VALUE,
        'The model put out another number of values than `encoder.width`.',
        'The width of a model may not depend on the image.',
    )
    ENCODER_OFF = _Entry(
        'encoder_off',
        Scope.VALUE,
        'The model failed again and again, or hangs: it is left alone for a while.',
        'See what diagnostics say about it; it is tried again by itself.',
    )
    # -- where the frames of clouds are, and how they move ------------------------------------
    TRANSFORM_UNKNOWN = _Entry(
        'transform_unknown',
        Scope.VALUE,
        'Clouds left out of the grid: nothing connects their frame_id with the output frame.',
        'Set `S.extrinsic`, or publish the frame on /tf_static or /tf.',
    )
    TRANSFORM_LATE = _Entry(
        'transform_late',
        Scope.VALUE,
        'Clouds left out of the grid: /tf had not reached their time within `timeout_sec`.',
        'Find out what delays /tf, or raise `timeout_sec`.',
    )
    TRANSFORM_OLD = _Entry(
        'transform_old',
        Scope.VALUE,
        'Clouds left out of the grid: /tf begins after their time, or has a gap there.',
        'Normal right after the start; otherwise look who publishes the transform, and how often.',
    )
    TRANSFORM_LOOP = _Entry(
        'transform_loop',
        Scope.VALUE,
        'Clouds left out of the grid: their frame is its own ancestor on /tf.',
        'Find the two publishers on /tf that contradict each other.',
    )
    POINT_TIME_MISSING = _Entry(
        'point_time_missing',
        Scope.VALUE,
        'Clouds moved as a whole: no field tells the time of their points.',
        'Make the driver publish the time of each point, or set `S.point_time`.',
    )
    POINT_TIME_DOUBT = _Entry(
        'point_time_doubt',
        Scope.VALUE,
        'Clouds moved as a whole: the times of their points can not be those of one sweep.',
        'Set `S.point_time`, `S.point_time_unit` and `S.stamp_at` as the driver has them.',
    )
    MOTION_MISSING = _Entry(
        'motion_missing',
        Scope.VALUE,
        'Clouds not corrected for motion: the source that `deskew` names has sent nothing, or '
        'nothing tells where it is in `base_frame`.',
        'See the status of that source, and its `extrinsic`.',
    )
    MOTION_LATE = _Entry(
        'motion_late',
        Scope.VALUE,
        'Clouds not corrected for motion: it was not known up to their last point in time.',
        'Raise `timeout_sec`, or find out what delays the source that `deskew` names.',
    )
    MOTION_GAP = _Entry(
        'motion_gap',
        Scope.VALUE,
        'Clouds not corrected for motion: a gap over `max_gap_sec`, a leap or no beginning in it.',
        'Find out what the source that `deskew` names has lost, or why it begins anew.',
    )
    # -- transforms that are not taken ---------------------------------------------------------
    TF_FRAMES = _Entry(
        'tf_frames',
        Scope.TRANSFORM,
        'A transform without the name of a frame, or of a frame in itself.',
        'Fix its publisher.',
    )
    TF_STAMP = _Entry(
        'tf_stamp',
        Scope.TRANSFORM,
        'A transform on /tf whose stamp is zero, negative or not normalised.',
        'Fix its publisher; what never moves belongs on /tf_static.',
    )
    TF_POSE = _Entry(
        'tf_pose',
        Scope.TRANSFORM,
        'A transform with a NaN, an absurd distance or a quaternion that is not near unit length.',
        'Fix its publisher: a pose that is not known yet should not be sent.',
    )
    TF_PARENT = _Entry(
        'tf_parent',
        Scope.TRANSFORM,
        'A transform of a frame that is in another one already; the one that came first counts.',
        'Stop one of the two publishers; where both are on /tf_static, then configure anew.',
    )
    # -- points and values that a grid is made without ----------------------------------------
    POINT_NONFINITE = _Entry(
        'point_nonfinite',
        Scope.GRID,
        'Points with a NaN or infinite coordinate, which carry no place.',
        'None needed: sensors mark missing returns like this.',
    )
    POINT_OUT_OF_RANGE = _Entry(
        'point_out_of_range',
        Scope.GRID,
        'Points outside `voxels.point_cloud_range`.',
        'Enlarge the range if they are wanted.',
    )
    POINT_OVER_LIMIT = _Entry(
        'point_over_limit',
        Scope.GRID,
        'Points beyond `voxels.max_points`; the first ones were kept.',
        'Raise `voxels.max_points`.',
    )
    POINT_OVER_CAP = _Entry(
        'point_over_cap',
        Scope.GRID,
        'Points beyond `voxels.max_points_per_voxel`; a fair sample was kept.',
        'None needed; 0 keeps all.',
    )
    POINT_UNSEEN = _Entry(
        'point_unseen',
        Scope.GRID,
        'Points that no camera sees: outside its image, behind something, or without a value.',
        'None needed; all of them: see the extrinsics of the cameras.',
    )
    VOXEL_OVER_LIMIT = _Entry(
        'voxel_over_limit',
        Scope.GRID,
        'Voxels beyond `voxels.max_voxels`; those with the lowest indices were kept.',
        'Raise `voxels.max_voxels`, or use larger voxels.',
    )
    VALUE_NONFINITE = _Entry(
        'value_nonfinite',
        Scope.GRID,
        'Field values that are NaN or infinite; they were left out of their channel.',
        'None needed if the sensor marks missing values like this.',
    )
    VALUE_RANGE = _Entry(
        'value_range',
        Scope.GRID,
        'Field values too large for the resolution of their sum; left out of their channel.',
        'Set `S.fields.F.resolution` of that field to a larger power of two.',
    )
    # -- frames ----------------------------------------------------------------------------
    FRAME_OVERLOAD = _Entry(
        'frame_overload',
        Scope.FRAME,
        'Frames skipped because newer ones were ready before they could be computed.',
        'Use a larger voxel, fewer channels, a lower trigger rate, or a faster machine.',
    )
    FRAME_TIMEOUT = _Entry(
        'frame_timeout',
        Scope.FRAME,
        'Frames not sent because a source, or /tf, had not arrived within `timeout_sec`.',
        'Raise `timeout_sec`, or set `on_timeout: partial`.',
    )
    FRAME_REQUIRED = _Entry(
        'frame_required',
        Scope.FRAME,
        'Frames not sent because a required source had nothing valid for them.',
        'See the status of the required source, or set its `required: false`.',
    )
    FRAME_NO_CLOUD = _Entry(
        'frame_no_cloud',
        Scope.FRAME,
        'Grids not sent because no cloud lay within `max_gap_sec` of their time, in their frame.',
        'See the status of the cloud sources, and `output_frame` where frames differ.',
    )
    FRAME_OUT_OF_ORDER = _Entry(
        'frame_out_of_order',
        Scope.FRAME,
        'Trigger samples that arrived after a newer frame had gone out; stamps never go back.',
        'Find out what reorders the trigger messages.',
    )
    FRAME_ERROR = _Entry(
        'frame_error',
        Scope.FRAME,
        'Frames whose computation raised an error; the log has its text.',
        'Report it: this is a bug of the package.',
    )
    FRAME_CHANGED = _Entry(
        'frame_changed',
        Scope.FRAME,
        'Frames of which half had gone out when a parameter of the stopped node changed.',
        'Normal: the other half would be of the parameters from before.',
    )
    FRAME_EPOCH = _Entry(
        'frame_epoch',
        Scope.FRAME,
        'Frames waiting for data when the clock jumped back.',
        'Normal when a bag loops or a simulation restarts.',
    )
    # -- computations on NumPy although there is a GPU: the same result, later ----------------
    BELOW_CROSSOVER = _Entry(
        'below_crossover',
        Scope.CALL,
        'The input was smaller than the size from which CUDA was measured to be faster.',
        'None needed; `backend: cuda` uses the GPU for every size.',
    )
    OVER_GPU_LIMIT = _Entry(
        'over_gpu_limit',
        Scope.CALL,
        'The input was larger than what the memory on the GPU is sized for.',
        'Raise `max_message_bytes`, `voxels.max_points` or `voxels.max_voxels`.',
    )
    WARMING_UP = _Entry(
        'warming_up',
        Scope.CALL,
        'CUDA was not ready yet: kernels are compiled, loaded and timed in the background.',
        'None needed: it takes seconds, after the first time less.',
    )
    GPU_RESOURCES = _Entry(
        'gpu_resources',
        Scope.CALL,
        'The GPU was out of memory or of launch resources; it is tried again after a pause.',
        'Look with `nvidia-smi` who uses its memory, or lower `max_message_bytes`, '
        '`voxels.max_points` and `voxels.max_voxels`.',
    )
    GPU_LOST = _Entry(
        'gpu_lost',
        Scope.CALL,
        'The GPU failed or did not answer; CUDA is off until the process restarts.',
        'Restart the node; if that happens again, look for Xid errors with `dmesg`.',
    )
    GPU_ERROR = _Entry(
        'gpu_error',
        Scope.CALL,
        'The CUDA backend raised an error; CUDA is off until the process restarts.',
        'Report it: this is a bug of the package, and the log has its text.',
    )

    @property
    def key(self) -> str:
        """Name in diagnostics and reports."""
        return self.value.key

    @property
    def scope(self) -> Scope:
        """What the reason is about."""
        return self.value.scope

    @property
    def what(self) -> str:
        """One sentence: what happened."""
        return self.value.what

    @property
    def fix(self) -> str:
        """One sentence: what the user can do."""
        return self.value.fix


# Why a cloud goes into the grid as it was measured, although `deskew` is configured.
SMEARED = (
    Reason.POINT_TIME_MISSING,
    Reason.POINT_TIME_DOUBT,
    Reason.MOTION_MISSING,
    Reason.MOTION_LATE,
    Reason.MOTION_GAP,
)


# Why it is not known where the frame of a source is.
UNPLACED = (
    Reason.TRANSFORM_UNKNOWN,
    Reason.TRANSFORM_LOOP,
    Reason.TRANSFORM_LATE,
    Reason.TRANSFORM_OLD,
)
# Why a camera paints nothing, although it is where one knows.
PAINTLESS = (
    Reason.CAMERA_INFO_MISSING,
    Reason.CAMERA_INFO_SIZE,
    Reason.PAINT_NO_IMAGE,
    Reason.PAINT_ENCODING,
)
# Why an image that is good has no encoding.
ENCODERLESS = (
    Reason.ENCODER_BUSY,
    Reason.ENCODER_FAILED,
    Reason.ENCODER_NONFINITE,
    Reason.ENCODER_WIDTH,
    Reason.ENCODER_OFF,
)


class Rejected(Exception):
    """A message that can not become a sample: its reason, and what exactly was wrong."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f'{reason.key}: {detail}')
        self.reason = reason
        self.detail = detail
